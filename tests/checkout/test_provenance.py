"""What a model was made from, in real git repositories."""

import os
from pathlib import Path

import pytest
import yaml

from resnet import params
from resnet.checkout import changes, dvc_yaml, provenance, rebuild
from resnet.checkout.dvc_lock import DvcLock
from resnet.errors import PipelineError
from tests.support import REPOSITORY, git


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a commit: code, parameters, and a metrics file that DVC makes."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "code.py").write_text("x = 1\n")
    (tmp_path / "params.yaml").write_text("train: {epochs: 1}\n")
    (tmp_path / "metrics.json").write_text("{}\n")
    (tmp_path / ".gitignore").write_text("ignored\n")
    outs = [{"path": "metrics.json", "md5": "0" * 32}, {"path": "arrays", "md5": "1" * 32}]
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": {"all": {"outs": outs}}}))
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "First")
    return tmp_path


def test_recorded_files_and_ignored_ones_do_not_make_a_checkout_dirty(checkout: Path) -> None:
    (checkout / "params.yaml").write_text("train: {epochs: 2}\n")
    (checkout / "dvc.lock").write_text((checkout / "dvc.lock").read_text() + "# new\n")
    (checkout / "metrics.json").write_text('{"accuracy": 1}\n')
    (checkout / "ignored").write_text("")
    code = provenance.code(checkout)
    assert code == provenance.Code(git(checkout, "rev-parse", "HEAD").strip(), False, "")


@pytest.mark.parametrize(
    "text",
    [
        b"- a\n- list\n",
        b"stages: [train]\n",
        b"stages: {train: }\n",
        b"stages: {train: {outs: [{md5: abc}]}}\n",
        b"stages: {train: {deps: [a]}}\n",
        b"stages: {train: {params: {params.yaml: [1]}}}\n",
        b"<<<<<<< ours\nstages: {}\n",
        b"\xff\xfe\x00",
    ],
)
def test_a_dvc_lock_of_another_form_says_what_to_do(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "dvc.lock").write_bytes(text)
    with pytest.raises(
        PipelineError, match=r"(?s)dvc\.lock is not .*: restore it with git, or remove"
    ):
        DvcLock.read(tmp_path)


def test_the_patch_brings_every_change_to_a_clean_clone(checkout: Path, tmp_path: Path) -> None:
    (checkout / "code.py").write_text("x = 2\n")
    (checkout / "resnet").mkdir()
    (checkout / "resnet" / "new.bin").write_bytes(bytes(range(256)))
    (checkout / "resnet" / "latin.py").write_bytes(b"# \xe9\n")
    before = git(checkout, "status", "--porcelain")
    code = provenance.code(checkout)
    assert code.dirty
    assert git(checkout, "status", "--porcelain") == before

    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(checkout), str(clone))
    (tmp_path / "changes.patch").write_text(code.patch, errors="surrogateescape")
    git(clone, "apply", str(tmp_path / "changes.patch"))
    assert (clone / "code.py").read_text() == "x = 2\n"
    assert (clone / "resnet" / "new.bin").read_bytes() == bytes(range(256))
    assert (clone / "resnet" / "latin.py").read_bytes() == b"# \xe9\n"


def test_a_change_in_the_second_of_the_commit_is_seen(checkout: Path) -> None:
    git(checkout, "config", "core.trustctime", "false")  # a test can set the other time alone
    for text in ("x = 1\n", "x = 2\n"):
        (checkout / "code.py").write_text(text)
        os.utime(checkout / "code.py", (100, 100))
        if text == "x = 1\n":
            git(checkout, "add", "--renormalize", ".")
            os.utime(checkout / ".git" / "index", (100, 100))
    assert "+x = 2" in provenance.code(checkout).patch


def test_a_repository_of_its_own_without_a_commit_says_what_to_do_with_it(
    checkout: Path, tmp_path: Path
) -> None:
    inner = checkout / "resnet" / "inner"
    inner.mkdir(parents=True)
    git(inner, "init", "--quiet")
    with pytest.raises(PipelineError, match=r"^resnet/inner/ in .*: commit there, move it out"):
        provenance.code(checkout)
    git(inner, "commit", "--quiet", "--allow-empty", "-m", "First")
    assert "Subproject commit" in provenance.code(checkout).patch
    with (checkout / ".gitignore").open("a") as stream:
        stream.write("inner\n")
    git(checkout, "commit", "--quiet", "-am", "Ignore it")
    assert not provenance.code(checkout).dirty


def test_without_git_there_is_no_commit_and_it_says_so(tmp_path: Path) -> None:
    code = provenance.code(tmp_path)
    assert code == provenance.Code(None, True, "")
    assert str(code) == "no git commit: this folder is not a git checkout"


def test_what_git_says_of_a_checkout_of_another_account_is_passed_on(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    with pytest.raises(PipelineError) as raised:
        provenance.code(checkout)
    assert "dubious ownership" in str(raised.value)
    assert f"git config --global --add safe.directory {checkout}" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_folder_of_a_larger_repository_has_its_commit_and_its_own_changes(
    checkout: Path, tmp_path: Path
) -> None:
    folder = checkout / "models" / "a [b]"
    (folder / "resnet").mkdir(parents=True)
    for name in ("params.yaml", "dvc.lock", "resnet/code.py"):
        (folder / name).write_text("{}\n")
    with pytest.raises(PipelineError, match="has no commit of it: commit it there, or move it out"):
        provenance.code(folder)
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "-m", "A model")
    head = git(checkout, "rev-parse", "HEAD").strip()
    (checkout / "code.py").write_text("x = 'elsewhere'\n")
    (checkout / "new.txt").touch()
    (folder / "params.yaml").write_text("{a: 1}\n")
    assert provenance.code(folder) == provenance.Code(head, False, "")
    (folder / "resnet" / "code.py").write_text("x = 2\n")
    (folder / "resnet" / "new.py").write_text("y = 2\n")
    (folder / "notes.txt").touch()
    code = provenance.code(folder)
    notes, patch = changes.split(code.patch)
    assert [note.split()[1] for note in notes] == ['"notes.txt":']
    (tmp_path / "clone").mkdir()
    rebuild.clone(folder, head, patch, tmp_path / "clone")
    for name in ("code.py", "new.py"):
        assert (
            (tmp_path / "clone" / "models" / "a [b]" / "resnet" / name).read_text().endswith("2\n")
        )


def test_the_data_hash_is_the_one_in_the_lock(checkout: Path) -> None:
    paths = params.load(REPOSITORY).paths.model_copy(update={"arrays": Path("arrays")})
    assert provenance.data_hash(checkout, paths) == "1" * 32
    with pytest.raises(PipelineError, match="has no output elsewhere"):
        provenance.data_hash(checkout, paths.model_copy(update={"arrays": Path("elsewhere")}))
    (checkout / "dvc.lock").unlink()
    with pytest.raises(PipelineError, match="run 'dvc repro' first"):
        provenance.data_hash(checkout, paths)


def test_what_cannot_change_the_model_does_not_change_the_params_hash() -> None:
    parameters = params.load(REPOSITORY)
    runtime = parameters.runtime.model_copy(update={"progress_seconds": 9})
    gate = parameters.gate.model_copy(update={"floor": 0.1})
    same = parameters.model_copy(update={"runtime": runtime, "gate": gate})
    other = parameters.model_copy(update={"data": parameters.data.model_copy(update={"seed": 7})})
    assert provenance.params_hash(same) == provenance.params_hash(parameters)
    assert provenance.params_hash(other) != provenance.params_hash(parameters)


def test_the_key_of_a_training_follows_the_code_that_dvc_yaml_lists_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = params.load(REPOSITORY)
    (tmp_path / "dvc.yaml").write_text("stages: {train: {deps: [data, resnet/nets]}}")
    nets = tmp_path / "resnet" / "nets"
    nets.mkdir(parents=True)
    (nets / "blocks.py").write_text("depth = 1")
    (tmp_path / "resnet" / "download.py").write_text("# as it was")
    monkeypatch.setattr(provenance, "RUNNING_CODE", tmp_path)
    key = provenance.training_key(parameters, tmp_path)
    (tmp_path / "resnet" / "download.py").write_text("# with a comment")
    assert provenance.training_key(parameters, tmp_path) == key
    (nets / "blocks.py").write_text("depth = 2")
    assert provenance.training_key(parameters, tmp_path) != key


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("stages: {}", "does not list the stages and what they depend on .*restore it with git"),
        ("stages: {train: x}", "does not list the stages and what they depend on"),
        ("stages: {train: {deps: [resnet/gone.py]}}", "lists resnet/gone.py, which the code at"),
    ],
)
def test_a_dvc_yaml_that_does_not_fit_the_code_is_refused(
    tmp_path: Path, text: str, match: str
) -> None:
    (tmp_path / "dvc.yaml").write_text(text)
    with pytest.raises(PipelineError, match=match):
        provenance.training_key(params.load(REPOSITORY), tmp_path)


def test_a_stage_without_dependencies_has_no_code(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {train: {deps: }}")
    assert dvc_yaml.code("train", tmp_path) == []
