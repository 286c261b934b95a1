"""A version is verified as it was made, and with each part of its record damaged."""

import functools
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as parquet
import pytest
import yaml

from resnet import cli, params
from resnet.checkout import dvc_cache, packages, rebuild
from resnet.errors import PipelineError
from resnet.evaluation.records import Predictions
from resnet.model import backend
from resnet.registry import store
from resnet.registry.tracking.publish import publish
from resnet.registry.verification import claims, model_claims, origin_claims
from resnet.registry.verification.claims import Claim
from resnet.registry.verification.verify import ClaimResult, Verification, verify
from resnet.registry.verification.version_under_test import VersionUnderTest
from resnet.system import files
from resnet.system.processes import Say
from tests.support import REPOSITORY

PATCH = "recipe/changes.patch"
RAW = ("batches.meta", "test_batch")
PORTABLE = next(claim for claim in claims.CLAIMS if claim.name == "portable")
QUICK = [claim for claim in claims.CLAIMS if claim.name not in ("model", "served", "score")]


@dataclass(frozen=True)
class Published:
    """A checkout, and the one version that was published from it."""

    root: Path
    name: str
    run_id: str

    @property
    def client(self) -> Any:
        return store.client(self.root)

    def verify(self, of: Sequence[Claim] = QUICK) -> dict[str, ClaimResult]:
        report = verify(self.root, self.name, 1, lambda line: None, of)
        return {result.name: result for result in report.results}

    def artifact(self, name: str) -> Path:
        return store.local_artifacts(self.root) / self.name / self.run_id / "artifacts" / name

    def cached(self, name: str, folder: str = "data/arrays") -> Path:
        """A file of the arrays in DVC's cache, or of another folder."""
        return dvc_cache.place(
            self.root / ".dvc" / "cache", dvc_cache.digest(self.root / folder / name)
        )

    @contextmanager
    def written(self, path: Path, content: str | bytes | None) -> Iterator[None]:
        """With another content of a file, or without it, for a while."""
        before = path.read_bytes()
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        try:
            yield
        finally:
            path.write_bytes(before)

    @contextmanager
    def tagged(self, tags: dict[str, str]) -> Iterator[None]:
        """With other tags of the version for a while."""
        before = self.client.get_model_version(self.name, "1").tags
        for name, value in tags.items():
            self.client.set_model_version_tag(self.name, "1", name, value)
        try:
            yield
        finally:
            for name in tags:
                if name in before:
                    self.client.set_model_version_tag(self.name, "1", name, before[name])
                else:
                    self.client.delete_model_version_tag(self.name, "1", name)


LISTED = functools.cache(packages.listed)  # which reads the metadata of hundreds of packages


@pytest.fixture(autouse=True)
def listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each verification asks what is installed, and no test installs anything."""
    monkeypatch.setattr(packages, "listed", LISTED)


@pytest.fixture(scope="module")
def published(
    empty_store: Path,
    tmp_path_factory: pytest.TempPathFactory,
    parameters: params.Params,
    write_outputs: Callable[..., str],
) -> Published:
    """A checkout with this project's code, the outputs of a tiny model, and its version."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(empty_store / ".state", root / ".state")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "resnet", root / "resnet", ignore=ignored)
    for name in ("dvc.yaml", ".gitignore", ".dvc/config"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(REPOSITORY / name, root / name)
    (root / "requirements.lock").write_text(packages.listed())
    write_outputs(root, parameters)
    _evaluate(root, parameters)
    _lock(root, parameters)
    _git(root, "init", "--quiet")
    _git(root, "add", "--all")
    _git(root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "First")
    version = publish(parameters, root)
    return Published(root, version.name, version.run_id)


def _evaluate(root: Path, parameters: params.Params) -> None:
    """Score the tiny model, as the stage does; and say that this machine trained it."""
    from resnet.evaluation.evaluate import evaluate

    paths = parameters.paths.under(root)
    training = files.read_json(paths.training)
    training["cpu"] = training["device_name"] = backend.cpu_name()
    training["versions"]["python"] = platform.python_version()
    files.write_json(paths.training, training)
    evaluate(parameters.evaluate, paths, backend.Device("tensorflow", "cpu", "a processor"))


def _lock(root: Path, parameters: params.Params) -> None:
    """dvc.lock as DVC writes it, and the arrays in its cache."""
    at = parameters.paths
    all_values = parameters.model_dump(mode="json")

    def entries(*paths: object) -> list[dict[str, str]]:
        return [{"path": str(path), "md5": dvc_cache.digest(root / str(path))} for path in paths]

    def values(*sections: str) -> dict[str, Any]:
        return {"params.yaml": {section: all_values[section] for section in sections}}

    (root / at.raw).mkdir(parents=True)
    for name in RAW:
        (root / at.raw / name).write_text(f"the {name}")
    inputs, code = (
        entries(at.arrays, at.profile),
        entries("resnet/model/model_file.py", "resnet/nets"),
    )
    stages = {
        "fetch": {"outs": entries(at.raw)},
        "ingest": {"deps": entries(at.raw), "outs": inputs, "params": values("data")},
        "train": {
            "cmd": "exec python -m resnet train",
            "deps": [*inputs, *code],
            "outs": entries(at.model, at.history, at.training),
            "params": values("net", "train"),
        },
        "evaluate": {
            "cmd": "python -m resnet evaluate",
            "deps": [*inputs, *entries(at.model)],
            "outs": entries(at.metrics, at.predictions),
            "params": values("evaluate"),
        },
        "export": {
            "cmd": "python -m resnet export",
            "deps": entries(at.arrays, at.model, at.predictions),
            "outs": entries(at.portable, at.portable_report),
            "params": values("export"),
        },
    }
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    for folder in (root / at.raw, root / at.arrays):
        _cache(root / ".dvc" / "cache", folder)


def _cache(home: Path, folder: Path) -> None:
    """Put a folder and its files into the cache, as DVC does."""
    listing = []
    for path in sorted(folder.iterdir()):
        place = dvc_cache.place(home, dvc_cache.digest(path))
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
        listing.append({"md5": dvc_cache.digest(path), "relpath": path.name})
    place = dvc_cache.place(home, dvc_cache.digest(folder))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(listing))


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout


def test_every_claim_about_a_version_as_it_was_published_holds(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    results = published.verify(claims.CLAIMS)
    assert {name: result.state for name, result in results.items()} == dict.fromkeys(
        [claim.name for claim in claims.CLAIMS], "PASS"
    ), "\n".join(map(str, results.values()))
    assert results["score"].text.endswith("of 4 correct, as recorded")
    assert list(tmp_path.iterdir()) == []
    assert _git(published.root, "status", "--porcelain") == ""


TAGS = {
    "no such commit": ({"git_commit": "0" * 40}, "commit", "is not in this checkout's repository"),
    "no commit": ({"git_commit": "none"}, "commit", "without a git commit"),
    "dirty without a patch": ({"git_dirty": "true"}, "commit", "the recorded patch has 0 bytes"),
    "other parameters": ({"params_hash": "0" * 64}, "parameters", "000000000000… recorded"),
    "other data": ({"data_hash": "0" * 32}, "data", "000000000000… recorded"),
    "another evaluation": ({"evaluation_hash": "0" * 64}, "evaluation", "is not the evaluation"),
    "other test samples": ({"test_hash": "0" * 64}, "evaluation", "is not the evaluation"),
}


@pytest.mark.parametrize("case", TAGS)
def test_a_wrong_tag_fails(published: Published, case: str) -> None:
    tags, name, text = TAGS[case]
    with published.tagged(tags):
        results = published.verify()
    assert (results[name].state, text in results[name].text) == ("FAIL", True), results[name]
    others = {result.state for result in results.values() if result.name != name}
    assert others == ({"PASS", "UNKNOWN"} if name == "commit" else {"PASS"})


def test_what_needs_the_commit_is_unknown_without_it(published: Published) -> None:
    with published.tagged({"git_commit": "0" * 40}):
        results = published.verify()
    for name in ("code", "packages", "data"):
        assert (results[name].state, results[name].text) == ("UNKNOWN", "needs commit")


@pytest.mark.parametrize(
    ("artifact", "text"),
    [
        ("portable/model.onnx", "was compared and admitted: the registry's artifact is damaged"),
        ("portable/portable.json", "is not the report that its tags name"),
    ],
)
def test_a_changed_byte_of_a_portable_form_or_of_its_report_fails(
    published: Published, artifact: str, text: str
) -> None:
    path = published.artifact(artifact)
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    with published.written(path, bytes(content)):
        results = published.verify([PORTABLE])
    assert (results["portable"].state, text in results["portable"].text) == ("FAIL", True)


def test_a_version_of_before_portable_forms_has_none_to_check(published: Published) -> None:
    with published.tagged({"portable_hash": ""}):
        (result,) = published.verify([PORTABLE]).values()
    assert (result.state, result.text) == ("PASS", "it was registered without portable forms")


ARTIFACTS = {
    "dvc.lock of other code": ("recipe/dvc.lock", "md5: ", "md5: 0", "code", "ran with"),
    "edited parameters": (
        "recipe/params.yaml",
        "batch: 500",
        "batch: 501",
        "parameters",
        "not what",
    ),
    "another package": ("recipe/packages.txt", "numpy==", "numpy==0.", "packages", "numpy 0."),
    "a package less": (
        "recipe/packages.txt",
        "\nnumpy==",
        "\n#numpy==",
        "packages",
        "not as requirements.lock of the commit pins them: numpy none, not ",
    ),
    "parameters without a section": (
        "recipe/params.yaml",
        "\nevaluate:\n",
        "\nother:\n",
        "data",
        "its recipe/params.yaml has no section evaluate",
    ),
    "a dvc.lock that is a list": (
        "recipe/dvc.lock",
        "schema: '2.0'\nstages:\n",
        "- schema:\n",
        "parameters",
        "dvc.lock is not as DVC writes it",
    ),
    "a dependency that is nowhere": (
        "recipe/dvc.lock",
        "path: resnet/nets",
        "path: resnet/nots",
        "code",
        "resnet/nots, which stage train ran with, is neither in the commit nor an output of",
    ),
    "another profile": ("data/profile.json", "cat", "dog", "data", "profile.json is"),
    "edited metrics": (
        "evaluation/metrics.json",
        '"images": 4',
        '"images": 5',
        "evaluation",
        "not the eval",
    ),
    "broken metrics": ("evaluation/metrics.json", "{", "[", "evaluation", "not the eval"),
}


@pytest.mark.parametrize("case", ARTIFACTS)
def test_a_file_that_was_edited_fails(published: Published, case: str) -> None:
    artifact, old, new, name, text = ARTIFACTS[case]
    path = published.artifact(artifact)
    content = path.read_text()
    assert old in content
    with published.written(path, content.replace(old, new)):
        result = published.verify()[name]
    assert (result.state, text in result.text) == ("FAIL", True), result


def test_a_patch_has_to_apply(published: Published) -> None:
    lock, recorded = published.root / "requirements.lock", published.artifact(PATCH)
    with published.written(lock, lock.read_text() + "one-more==1.0\n"):
        patch = _git(published.root, "diff")
    with published.tagged({"git_dirty": "true"}):
        with published.written(recorded, patch):
            result = published.verify()["commit"]
            assert (result.state, "applies to it" in result.text) == ("PASS", True), result
        notes = '# These files differ too:\n# 12ab ".env": its name is that of a secret\n'
        for text, state in {notes: "clean", notes + patch: "applies to it"}.items():
            with published.written(recorded, text):
                result = published.verify()["commit"]
            assert result.state == "PASS"
            assert f"{state} but for 1 files of which recipe/changes.patch has only" in result.text
        with published.written(recorded, patch.replace("\n zipp", "\n nothing")):
            result = published.verify()["commit"]
            assert (result.state, "does not apply" in result.text) == ("FAIL", True), result
    with published.written(recorded, patch):
        result = published.verify()["commit"]
        assert (result.state, "git_dirty is False" in result.text) == ("FAIL", True), result


def test_a_list_without_packages_says_nothing_about_the_environment(published: Published) -> None:
    with published.written(published.artifact("recipe/packages.txt"), "\n"):
        results = published.verify()
    for name in ("packages", "environment"):
        result = results[name]
        assert (result.state, result.text) == ("FAIL", "its recipe/packages.txt lists no package")


def test_packages_are_those_that_the_nearest_lock_pins(
    published: Published,
) -> None:
    installed = packages.listed()

    def with_locks(**locks: str) -> ClaimResult:
        def check(subject: VersionUnderTest) -> str:
            for name, text in locks.items():
                (subject.tree / f"{name}.lock").write_text(text)
            return origin_claims.locked(subject)

        return published.verify([claims.CLAIMS[0], Claim("packages", check)])["packages"]

    count = len(packages.pins(installed))
    elsewhere = "elsewhere==1.0 ; python_full_version < '3' or sys_platform == 'win32'\n"
    result = with_locks(requirements=installed + elsewhere, packages="no lock of ours==1\n")
    assert result.text == f"{count} packages were as requirements.lock of the commit pins them"
    without_uv = "".join(line for line in installed.splitlines(True) if not line.startswith("uv="))
    result = with_locks(requirements="other==1.0\n", **{"requirements-gpu": without_uv})
    assert result.state == "PASS"
    text = f"{count - 1} packages were as requirements-gpu.lock of the commit pins them"
    assert result.text == f"{text}; beside them uv"
    result = with_locks(requirements=installed + "here==1.0 ; python_full_version > '3'\n")
    assert result.state == "FAIL"
    assert result.text.endswith("requirements.lock of the commit pins them: here none, not 1.0")


def test_other_predictions_fail(published: Published, tmp_path: Path) -> None:
    path = published.artifact("evaluation/predictions.parquet")
    parquet.write_table(parquet.read_table(path).drop_columns("label"), tmp_path / "no-label")
    recorded = Predictions.read(path)
    other = Predictions(recorded.labels_n, recorded.probabilities_nk * np.float32(1.5))
    other.write(tmp_path / "as-correct")
    Predictions(recorded.predicted_n, recorded.probabilities_nk).write(tmp_path / "wrong")
    for name, text in (
        ("as-correct", "predictions.parquet is"),
        ("wrong", "images correct"),
        ("no-label", "run 'resnet evaluate' again"),
    ):
        with published.written(path, (tmp_path / name).read_bytes()):
            result = published.verify()["evaluation"]
        assert (result.state, text in result.text) == ("FAIL", True), result


def test_data_of_wrong_bytes_fail_and_data_that_are_not_available_are_unknown(
    published: Published,
) -> None:
    path = published.cached("test_images.npy")
    with published.written(path, path.read_bytes()[:-1] + b"\0"):
        result = published.verify()["data"]
        assert (result.state, "DVC's cache is" in result.text) == ("FAIL", True), result
    with published.written(path, None):
        result = published.verify()["data"]
        assert (result.state, "is not available" in result.text) == ("UNKNOWN", True), result


def test_raw_files_are_verified_where_they_are_available_and_named_where_they_are_not(
    published: Published,
) -> None:
    raw = "data/raw"
    cached, here = published.cached("test_batch", raw), published.root / raw / "test_batch"
    assert published.verify()["data"].text.endswith("…; raw files: 2 of 2 verified")
    with published.written(cached, b"damaged"):
        result = published.verify()["data"]
        assert (result.state, "test_batch in DVC's cache is" in result.text) == ("FAIL", True)
    with published.written(cached, None):
        assert published.verify()["data"].text.endswith("raw files: 2 of 2 verified")
        for content in (b"of another data set", None):
            with published.written(here, content):
                result = published.verify()["data"]
            assert result.state == "PASS"
            assert result.text.endswith("1 of 2 verified; not available here: test_batch")
    listing = published.cached("", raw)
    with published.written(listing, None):
        assert published.verify()["data"].text.endswith("raw files: not available here")


def with_raw_outputs(published: Published, outputs: list[dict[str, str]]) -> str:
    """The recorded dvc.lock with other outputs of fetch."""
    lock = yaml.safe_load(published.artifact("recipe/dvc.lock").read_text())
    lock["stages"]["fetch"]["outs"] = outputs
    return yaml.safe_dump(lock)


def test_raw_files_that_an_earlier_release_listed_one_by_one_are_verified(
    published: Published,
) -> None:
    paths = [published.root / "data" / "raw" / name for name in RAW]
    outputs = [{"path": f"data/raw/{p.name}", "md5": dvc_cache.digest(p)} for p in paths]
    lock = published.artifact("recipe/dvc.lock")
    with published.written(lock, with_raw_outputs(published, outputs)):
        found = published.verify()
    assert found["code"].state == "PASS"
    assert found["data"].text.endswith("raw files: 2 of 2 verified")


def test_raw_files_other_than_those_that_were_read_fail(published: Published) -> None:
    lock = published.artifact("recipe/dvc.lock")
    others = [{"path": "data/raw", "md5": "0" * 32 + ".dir"}]
    with published.written(lock, with_raw_outputs(published, others)):
        result = published.verify()["code"]
    assert result.state == "FAIL"
    assert "data/raw, which stage ingest ran with, is not an output of an earlier" in result.text


def test_data_of_its_own_is_no_code(published: Published) -> None:
    lock, recipe = (published.artifact(f"recipe/{name}") for name in ("dvc.lock", "params.yaml"))
    values = yaml.safe_load(lock.read_text())
    extra = {"path": "data/extra", "md5": f"{'0' * 32}.dir"}
    values["stages"]["ingest"]["deps"].append(extra)
    with published.written(lock, yaml.safe_dump(values)):
        assert {one.state for one in published.verify().values()} == {"PASS"}
        recorded = yaml.safe_load(recipe.read_text())
        assert recorded["paths"].pop("extra") == extra["path"]
        with published.written(recipe, yaml.safe_dump(recorded)):
            results = published.verify()
        assert results.pop("code").text.startswith(
            "data/extra, which stage ingest ran with, is neither in the commit"
        )
        assert {one.state for one in results.values()} == {"PASS"}  # a path less is no reason


def test_a_commit_is_found_in_a_shallow_checkout_though_no_branch_has_it(
    published: Published, tmp_path: Path
) -> None:
    root, tree = tmp_path / "shallow", tmp_path / "tree"
    first = _git(published.root, "rev-parse", "HEAD").strip()
    words = ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty")
    _git(tmp_path, "clone", "--quiet", "--depth", "1", published.root.as_uri(), str(root))
    _git(root, *words, "-m", "Left behind")
    left = _git(root, "rev-parse", "HEAD").strip()
    _git(root, "reset", "--quiet", "--hard", "HEAD~1")
    rebuild.clone(root, left, "", tree)
    assert (tree / "dvc.yaml").read_bytes() == (root / "dvc.yaml").read_bytes()
    assert _git(tree, "log", "--format=%H").split() == [left, first]
    with pytest.raises(PipelineError, match="000000000000 is not .*'git fetch --unshallow'"):
        rebuild.clone(root, "0" * 40, "", tmp_path / "other")


def test_an_environment_that_is_not_here_is_unknown(published: Published) -> None:
    with published.tagged({"version.python": "3.9.1"}):
        result = published.verify()["environment"]
    assert (result.state, "Python" in result.text) == ("UNKNOWN", True)
    assert "not 3.9.1" in result.text


def test_a_commit_without_a_lock_says_nothing_about_packages(published: Published) -> None:
    def unlocked(subject: VersionUnderTest) -> str:
        (subject.tree / "requirements.lock").unlink()
        return origin_claims.locked(subject)

    result = published.verify([claims.CLAIMS[0], Claim("packages", unlocked)])["packages"]
    assert (result.state, result.text) == ("UNKNOWN", "the commit has no requirements.lock")


def test_a_damaged_model_file_fails_and_the_command_ends_with_1(
    published: Published, enter: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    enter(published.root)
    model = published.artifact("model.keras")
    with published.written(model, model.read_bytes() + b"\0"):
        assert cli.main(["verify", "1", "--model", published.name]) == 1
    printed = capsys.readouterr()
    assert "FAIL     model        " in printed.out
    assert "the registry's artifact is damaged" in printed.out
    assert "8 PASS, 1 FAIL, 2 UNKNOWN" in printed.out
    assert "verify: evaluation" in printed.err


def test_an_interrupted_verification_leaves_nothing_behind(
    published: Published, tmp_path: Path
) -> None:
    words = [sys.executable, "-m", "resnet", "verify", "1", "--model", published.name]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with psutil.Popen(
        words, cwd=published.root, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as started:
        for line in started.stderr:
            if line == b"verify: model\n":
                break
        while not (children := started.children()):
            time.sleep(0.05)
        started.send_signal(signal.SIGINT)
        assert b"error: interrupted" in started.stderr.read()
    assert started.returncode == 1
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_mlflow_cannot_serve_fails_and_its_file_passes(published: Published) -> None:
    (served,) = store.local_artifacts(published.root).rglob("saved_model.pb")
    with published.written(served, b"damaged"):
        results = published.verify([claim for claim in claims.CLAIMS if claim.name in TWO])
    assert results["model"].state == "PASS", results["model"]
    assert results["served"].state == "FAIL"
    assert "MLflow cannot serve it" in results["served"].text


TWO = ("model", "served")


def test_another_model_that_is_served_fails(published: Published) -> None:
    def other(subject: VersionUnderTest) -> str:
        subject.served_report = {"model_hash": subject.version.model_hash, "difference": "0.0123"}
        return model_claims.served(subject)

    result = published.verify([Claim("served", other)])["served"]
    assert result.state == "FAIL"
    assert "differ from model.keras's by up to 0.0123" in result.text


REBUILT = [claim for claim in claims.CLAIMS if claim.name in claims.REBUILT]


def scored(published: Published, correct: int) -> ClaimResult:
    """The score's result where the stage counts `correct` images more than it did."""

    def stage(name: str, tree: Path, gpu: bool, say: Say) -> None:
        recorded = files.read_json(published.artifact("evaluation/metrics.json"))
        metrics = {**recorded, "correct": recorded["correct"] + correct}
        files.write_json(tree / "reports/metrics.json", metrics)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rebuild, "run", stage)
        return published.verify([*REBUILT, Claim("score", model_claims.score)])["score"]


def test_a_score_is_the_same_here(published: Published) -> None:
    assert scored(published, 0).state == "PASS"
    for correct in (1, -1):
        result = scored(published, correct)
        assert (result.state, "on the same CPU" in result.text) == ("FAIL", True), result


@pytest.mark.parametrize(
    ("tags", "reason", "beyond"),
    [
        ({"cpu": "an abacus"}, ", not an abacus", "FAIL"),
        ({"version.python": "3.9.1"}, ", not 3.9.1", "UNKNOWN"),
        ({"device": "gpu"}, "here: recorded on a GPU", "UNKNOWN"),
        ({"cpu": "an abacus", "version.python": "3.9.1"}, ", not 3.9.1", "UNKNOWN"),
    ],
    ids=["another CPU", "other packages", "a GPU", "both"],
)
def test_a_score_elsewhere_is_within_two_images_and_beyond_says_nothing_without_the_environment(
    published: Published, tags: dict[str, str], reason: str, beyond: str
) -> None:
    with published.tagged(tags):
        for correct in (0, 2, -2):
            assert scored(published, correct).state == "PASS"
        assert reason in scored(published, 2).text
        for correct in (3, -3):
            result = scored(published, correct)
            assert result.state == beyond, result
            assert "more than 2 apart; here: " in result.text
            assert reason in result.text


def trained(published: Published, model_hash: str | None) -> ClaimResult:
    """The result where training gives this model, or ends with an error."""

    def stage(name: str, tree: Path, gpu: bool, say: Say) -> None:
        if model_hash is None:
            raise PipelineError("no such device")
        training = files.read_json(published.artifact("training/training.json"))
        files.write_json(tree / "reports/training.json", {**training, "model_hash": model_hash})

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rebuild, "run", stage)
        return published.verify([*REBUILT, claims.EVERY[-1]])["retrain"]


def test_other_bits_fail_here_and_are_unknown_elsewhere(published: Published) -> None:
    tags = published.client.get_model_version(published.name, "1").tags
    assert trained(published, tags["model_hash"]).state == "PASS"
    assert trained(published, "0" * 64).state == "FAIL"
    assert trained(published, None).state == "FAIL"
    with published.tagged({"cpu": "an abacus"}):
        for outcome in ("0" * 64, None):
            result = trained(published, outcome)
            assert (result.state, "not an abacus" in result.text) == ("UNKNOWN", True), result


@contextmanager
def recorded_precision(
    published: Published, tag: str | None, asked: str | None, flags: str = "avx2"
) -> Iterator[list[str | None]]:
    """With this tag and this parameter; yields the parameters that the stage is run with."""
    ran_with: list[str | None] = []

    def stage(name: str, tree: Path, gpu: bool, say: Say) -> None:
        ran_with.append(params.read(tree)["train"].get("precision"))
        training = files.read_json(published.artifact("training/training.json"))
        files.write_json(tree / "reports/training.json", training)

    recipe = published.artifact("recipe/params.yaml")
    values = params.read(recipe.parent)
    del values["train"]["precision"]
    values["train"] |= {"precision": asked} if asked else {}
    run_tag = published.client.get_run(published.run_id).data.tags["precision"]
    published.client.delete_tag(published.run_id, "precision")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rebuild, "run", stage)
        patched.setattr(backend, "cpu_flags", lambda: {flags})
        with (
            published.written(recipe, params.dump(values)),
            published.tagged({"precision": tag} if tag else {}),
        ):
            yield ran_with
    published.client.set_tag(published.run_id, "precision", run_tag)


REPEATED = Claim("retrain", model_claims.retrain, ("commit",))


@pytest.mark.parametrize(
    ("tag", "asked", "ran_with", "said"),
    [
        ("bfloat16", "auto", "bfloat16", "bfloat16"),
        ("float32", "auto", "float32", "float32"),
        ("bfloat16", "bfloat16", "bfloat16", "bfloat16"),
        (None, "float32", "float32", "float32"),
        (None, "bfloat16", "bfloat16", "bfloat16"),
        (None, None, None, "float32"),
    ],
)
def test_a_version_is_trained_again_in_its_precision_and_earlier_ones_as_their_parameters_say(
    published: Published, tag: str | None, asked: str | None, ran_with: str | None, said: str
) -> None:
    with recorded_precision(published, tag, asked) as ran:
        result = published.verify([claims.CLAIMS[0], REPEATED])["retrain"]
    assert (result.state, f"20 steps in {said}" in result.text) == ("PASS", True), result
    assert ran == [ran_with]


def test_a_precision_that_is_not_recorded_or_not_to_be_had_here_is_unknown(
    published: Published,
) -> None:
    both = [claims.CLAIMS[0], REPEATED]
    with recorded_precision(published, None, "auto") as ran:
        result = published.verify(both)["retrain"]
    assert (result.state, "what it took is not recorded" in result.text) == ("UNKNOWN", True)
    with (
        recorded_precision(published, "bfloat16", "auto") as ran_too,
        published.tagged({"cpu": "an abacus"}),
    ):
        result = published.verify(both)["retrain"]
    text = "trained in bfloat16, for which this CPU has no instructions: verify it on one with amx"
    assert (result.state, text in result.text) == ("UNKNOWN", True), result
    assert ran == ran_too == []
    with (
        recorded_precision(published, "bfloat16", "auto", flags="amx_bf16") as ran,
        published.tagged({"cpu": "an abacus"}),
    ):
        assert published.verify(both)["retrain"].state == "PASS"
    assert ran == ["bfloat16"]


def test_an_unknown_claim_is_no_failure(published: Published) -> None:
    version = verify(published.root, published.name, 1, lambda line: None, ()).version
    unknown = ClaimResult("data", "UNKNOWN", "nowhere")
    assert not Verification(version, [unknown]).failed
    assert Verification(version, [unknown, ClaimResult("model", "FAIL", "damaged")]).failed
