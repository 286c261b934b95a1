"""doctor looks at what the pipeline is defined by, and at the files of registered versions."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from resnet.export.report import PortableForm, PortableReport
from resnet.operations.doctor import checkout as checkouts
from resnet.operations.doctor import definitions, models, report
from resnet.registry import portable_forms, store, versions
from resnet.registry.verification import damage
from resnet.system import files
from tests.support import REPOSITORY, git

NAME = "cifar10-resnet"
CONFLICT = "<<<<<<< HEAD\nouts: []\n=======\nouts: [1]\n>>>>>>> theirs\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The definitions of this repository, with the .dvc file of one added batch."""
    shutil.copytree(REPOSITORY / "presets", tmp_path / "presets")
    for name in ("params.yaml", "dvc.yaml", "dvc.lock"):
        shutil.copy(REPOSITORY / name, tmp_path)
    batch = tmp_path / "data" / "extra" / "a night.dvc"
    batch.parent.mkdir(parents=True)
    batch.write_text(yaml.safe_dump({"outs": [{"path": "a night", "md5": "0" * 32}]}))
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "First")
    return tmp_path


def test_whole_definitions_are_told_as_such(checkout: Path) -> None:
    (finding,) = definitions.definitions(checkout)
    assert finding.level == "ok", finding


@pytest.mark.parametrize(
    "name",
    ["dvc.lock", "params.yaml", "dvc.yaml", "presets/paper.yaml", "data/extra/a night.dvc"],
)
def test_the_marks_of_a_merge_conflict_are_found(checkout: Path, name: str) -> None:
    path = checkout / name
    lines = path.read_text().count("\n")
    path.write_text(path.read_text() + CONFLICT)
    (finding,) = definitions.definitions(checkout)
    assert finding.level == "fail"
    assert finding.text.startswith(f"{name} has the mark of a merge conflict in line {lines + 1}:")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dvc.lock", "stages: [train]"),
        ("dvc.yaml", "stages: {"),
        ("data/extra/a night.dvc", "outs: [{path: x}]"),
        ("data/extra/a night.dvc", ": ["),
    ],
)
def test_a_definition_that_cannot_be_read_is_found_in_one_line(
    checkout: Path, name: str, content: str
) -> None:
    (checkout / name).write_text(content)
    (finding,) = definitions.definitions(checkout)
    assert finding.level == "fail"
    assert name in finding.text
    assert "restore it with git" in finding.text
    assert "\n" not in finding.text


def test_the_missing_and_the_damaged_files_of_versions_are_found(
    made_store: Path, register: Callable[..., int]
) -> None:
    shutil.copy(REPOSITORY / "params.yaml", made_store)
    client = store.client(made_store)
    serving, other = register(NAME), register(NAME)
    for number in (serving, other):
        run_id = client.get_model_version(NAME, str(number)).run_id
        client.log_text(str(run_id), "probe", versions.PROBE_FILE)
    client.set_registered_model_alias(NAME, versions.PRODUCTION, str(serving))
    (finding,) = models.models(made_store)
    assert (finding.level, finding.text) == ("ok", "the files of 2 versions are there")

    def artifacts(number: int) -> Path:
        run_id = client.get_model_version(NAME, str(number)).run_id
        return store.local_artifacts(made_store) / NAME / str(run_id) / "artifacts"

    (artifacts(serving) / versions.PREDICTIONS_FILE).unlink()
    (artifacts(serving) / versions.MODEL_FILE).write_text("cut")
    (artifacts(other) / versions.MODEL_FILE).unlink()
    unused, missing, damaged = models.models(made_store)
    assert unused.level == "warn"
    assert f"{NAME} version {other}: model.keras cannot be read in" in unused.text
    assert missing.level == damaged.level == "fail"
    assert f"{NAME} version {serving} (production): {versions.PREDICTIONS_FILE} cannot" in (
        missing.text
    )
    assert str(artifacts(serving)) in missing.text
    assert "its model.keras has sha256" in damaged.text
    shutil.rmtree(artifacts(serving))
    assert "(production): model.keras, evaluation/metrics.json" in str(models.models(made_store)[1])


def test_a_portable_form_that_is_missing_is_named_and_not_its_report(
    made_store: Path, register: Callable[..., int]
) -> None:
    client, name = store.client(made_store), "portable-resnet"
    version = versions.resolve(client, name, register(name))
    report = made_store / "portable.json"
    form = PortableForm(name="onnx", admitted=True, reason=None, sha256="0" * 64)
    PortableReport(model_sha256="", cpu="", versions={}, forms=(form,)).write(report)
    client.log_text(version.run_id, report.read_text(), portable_forms.REPORT)
    tagged = replace(version, aliases=("production",), portable_hash=files.digest(report))
    (missing,) = (text for text in damage.damage(client, tagged) if "cannot be read in" in text)
    assert f"{versions.PROBE_FILE}, portable/model.onnx cannot be read in" in missing
    assert "portable.json" not in missing


def test_what_error_texts_send_people_to_doctor_for_is_among_its_checks() -> None:
    assert {definitions.definitions, models.models} <= set(report.CHECKS)


def test_a_checkout_whose_commit_git_does_not_tell_is_found(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checkouts.repository(checkout)[0].level == "ok"
    folder = tmp_path_factory.mktemp("folder")
    (finding,) = checkouts.repository(folder)
    assert finding.level == "warn"
    assert "run 'git init' and commit the code" in finding.text
    git(folder, "init", "--quiet")
    assert "git init" not in checkouts.repository(folder)[0].text
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    (finding,) = report._run(checkouts.repository, checkout, debug=True)
    assert finding.level == "fail"
    assert "dubious ownership" in finding.text
    assert "safe.directory" in finding.text
