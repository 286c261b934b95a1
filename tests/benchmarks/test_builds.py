"""The build that is compared is a clone of its commit, run with the same packages."""

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from benchmarks import builds
from benchmarks.rounds import NotMeasuredError
from tests.support import git


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of two commits; this process is in it."""
    root = tmp_path / "checkout"
    root.mkdir()
    git(root, "init", "--quiet")
    for text in ("first", "second"):
        for name in ("params.yaml", "dvc.yaml", builds.LOCK):
            (root / name).write_text(f"# {text}\n")
        git(root, "add", ".")
        git(root, "commit", "--quiet", "-m", text)
    monkeypatch.chdir(root)
    return root


def test_a_build_is_a_temporary_clone_of_its_commit(checkout: Path) -> None:
    first = git(checkout, "rev-parse", "--short", "HEAD~1").strip()
    with builds.clone(first) as earlier, builds.clone() as now:
        assert (earlier / "params.yaml").read_text() == "# first\n"
        assert (now / "params.yaml").read_text() == "# second\n"
    assert not earlier.exists()


def test_a_shallow_clone_without_the_commit_says_so(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = git(checkout, "rev-parse", "HEAD~1").strip()
    shallow = tmp_path / "shallow"
    command = ["git", "clone", "--quiet", "--depth", "1", f"file://{checkout}", str(shallow)]
    subprocess.run(command, check=True)
    monkeypatch.chdir(shallow)
    with builds.clone() as now:
        assert (now / "params.yaml").read_text() == "# second\n"
    with (
        pytest.raises(NotMeasuredError, match=f"does not have commit {first}"),
        builds.clone(first),
    ):
        pass


def test_builds_that_pin_other_packages_are_not_compared() -> None:
    keras, numpy = version("keras"), version("numpy")
    same = f"keras=={keras} \\\n    --hash=sha256:00\nnumpy==0.1 ; python_version < '3'\n"
    builds.require_same_packages(f"{same}numpy=={numpy} ; python_version >= '3'\n", "abc")
    builds.require_same_packages("pillow==0.1 \\\n", "abc")  # no matter which
    with pytest.raises(NotMeasuredError) as raised:
        builds.require_same_packages("keras==0.1 \\\nnumpy==0.2\n", "abc")
    assert f"keras is {keras} here, and 0.1 there" in str(raised.value)
    assert f"numpy is {numpy} here, and 0.2 there" in str(raised.value)


def test_a_build_writes_neither_into_the_user_s_state_nor_into_another_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESNET_STATE", "/somewhere")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somewhere")
    monkeypatch.setenv("PYTHONPATH", "/another/build")
    monkeypatch.setenv("CIFAR10_ARCHIVE", "cifar10")
    monkeypatch.chdir(tmp_path)
    environment = builds.environment(tmp_path / "clone")
    assert environment["CIFAR10_ARCHIVE"] == str(tmp_path / "cifar10")
    assert "RESNET_STATE" not in environment
    assert environment["MLFLOW_TRACKING_URI"] == ""
    assert environment["PYTHONPATH"] == str(tmp_path / "clone")
