"""Each known problem is found, and reported with what to do about it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from resnet.checkout import worktree
from resnet.operations.doctor import checkout as checkouts
from resnet.operations.doctor import installation, report, stores
from resnet.operations.doctor.finding import Finding
from resnet.registry import store
from tests.support import REPOSITORY, git

DEVICE = """
import sys
from pathlib import Path
from resnet.operations.doctor import installation
print(*installation.device(Path(sys.argv[1])))
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's parameters, no data, and no way to any."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CIFAR10_ARCHIVE", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    return tmp_path


@pytest.fixture
def rwlock(checkout: Path) -> Path:
    """DVC's file of locks on paths, where it wants it."""
    path = checkout / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True)
    return path


def text(findings: list[Finding]) -> str:
    return "\n".join(map(str, findings))


def locked_by(pid: int) -> str:
    return json.dumps({"write": {"/x": {"pid": pid, "cmd": "dvc repro"}}, "read": {}})


def test_what_is_installed_here_fits(checkout: Path) -> None:
    assert "FAIL" not in text(installation.tools(checkout))


def test_a_package_of_another_version_is_named_with_the_wanted_one(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = checkout / "installed" / "keras-2.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: keras\nVersion: 2.0\n")
    monkeypatch.syspath_prepend(installed.parent)
    (finding,) = [one for one in installation.tools(checkout) if one.level == "fail"]
    assert "keras is 2.0, want <3.16,>=3.15.1: run 'rm .venv/installed; make run'" in finding.text


def test_another_python_is_named_with_those_that_do(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    assert "FAIL  tools      Python is" in text(installation.tools(checkout))
    assert "want 3.11, 3.12 or 3.13" in text(installation.tools(checkout))


def test_a_gpu_that_the_backend_cannot_see_is_found(checkout: Path) -> None:
    listed = checkout / "nvidia-smi"
    listed.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H200 (UUID: GPU-1)'\n")
    listed.chmod(0o755)
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    env["PATH"] = os.pathsep.join([str(checkout), env["PATH"]])
    command = [sys.executable, "-c", DEVICE, str(checkout)]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(
        "FAIL  device     nvidia-smi sees GPU 0: NVIDIA H200 (UUID: GPU-1), tensorflow does not: "
        "install requirements-gpu.lock"
    )


def test_no_data_and_no_network_are_found_and_an_archive_is_asked_for(checkout: Path) -> None:
    (finding,) = checkouts.data(checkout)
    assert finding.level == "warn"
    assert "cannot be reached" in finding.text
    assert finding.text.endswith("set CIFAR10_ARCHIVE to an archive of CIFAR-10")


def test_added_images_that_dvc_does_not_track_are_found(checkout: Path) -> None:
    batch = checkout / "data" / "extra" / "night"
    batch.mkdir(parents=True)
    (finding,) = checkouts.added(checkout)
    assert finding.level == "warn"
    assert (
        f"{batch} is not tracked by DVC: once it is complete, run 'dvc add {batch}'" in finding.text
    )
    batch.rmdir()
    assert checkouts.added(checkout)[0].level == "ok"


@pytest.mark.parametrize(("pattern", "level"), [("/data/*", "fail"), ("/data/?*", "ok")])
def test_a_dvc_file_that_a_pattern_hides_from_dvc_is_found(
    pattern: str, level: str, checkout: Path
) -> None:
    git(checkout, "init", "--quiet")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=checkout, check=True)
    for folder in (checkout, checkout / "data"):
        folder.mkdir(exist_ok=True)
        (folder / "a.npz").write_bytes(b"a")
        words = ("add", "--quiet", str(folder / "a.npz"))
        subprocess.run([sys.executable, "-m", "dvc", *words], cwd=checkout, check=True)
    (checkout / ".gitignore").write_text(f"a.npz\n{pattern}\n!/data/*.dvc\n")
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", "Two batches")
    (finding,) = checkouts.hidden(checkout)
    assert finding.level == level
    assert ("DVC does not see data/a.npz.dvc" in finding.text) == (level == "fail")


def test_a_lock_of_dvc_says_whether_its_holder_lives(checkout: Path, rwlock: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    rwlock.write_text(locked_by(child.pid))
    assert f"names ended processes {child.pid}: DVC removes them" in text(checkouts.locks(checkout))
    with subprocess.Popen([sys.executable, "-c", "input()", "repro"], stdin=subprocess.PIPE) as dvc:
        rwlock.write_text(locked_by(dvc.pid))
        assert f"dvc is running here: processes {dvc.pid}" in text(checkouts.locks(checkout))
        dvc.terminate()
    rwlock.write_text(locked_by(os.getpid()))  # whose id is another program's by now
    (finding,) = checkouts.locks(checkout)
    assert finding.level == "fail"
    assert f"{rwlock} names process {os.getpid()} (dvc repro), which has ended" in finding.text
    rwlock.write_text("{}")
    assert (
        text(checkouts.locks(checkout))
        == "ok    locks      no stale lock, no left-over working tree"
    )


@pytest.mark.parametrize("content", ["", '{"write": {"/x', "[]", '{"write": {"/x": {}}}'])
def test_a_damaged_lock_of_dvc_is_found_and_is_to_be_removed(
    content: str, checkout: Path, rwlock: Path
) -> None:
    rwlock.write_text(content)
    (finding,) = checkouts.locks(checkout)
    assert finding.level == "fail"
    assert "rwlock is not a list of locks" in finding.text
    assert finding.text.endswith("make sure that no dvc is running, and remove it")


def test_the_tree_of_a_failed_run_is_found(checkout: Path) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (["init", "--quiet"], ["add", "."], [*identity, "commit", "-qm", "First"]):
        subprocess.run(["git", *words], cwd=checkout, check=True)
    (checkout / ".dvc").mkdir()
    (checkout / ".dvc" / "config").touch()
    with pytest.raises(RuntimeError), worktree.worktree(checkout, "a", {}):
        raise RuntimeError
    assert "working trees left by failed runs: 1; inspect them, then run 'make clean'" in text(
        checkouts.locks(checkout)
    )


def test_a_store_that_cannot_be_read_is_found(checkout: Path) -> None:
    database = checkout / ".state" / "mlflow" / "mlflow.db"
    database.parent.mkdir(parents=True)
    database.write_text("no database")
    for check in (stores.artifacts, stores.ledgers):
        (finding,) = report._run(check, checkout, debug=True)
        assert finding.level == "fail"
        assert f"{database} cannot be read as an MLflow store" in finding.text


def test_a_moved_checkout_is_found(checkout: Path) -> None:
    store.experiment(store.client(checkout), "made-before")
    moved = checkout.with_name(f"{checkout.name}-moved")
    checkout.rename(moved)
    (finding,) = stores.artifacts(moved)
    assert finding.level == "fail"
    assert f"names artifacts in {checkout}/.state/mlflow/artifacts, which is not" in finding.text
    assert "'resnet relocate' lets the registry name its own" in finding.text


def test_a_check_that_fails_is_named_and_the_others_run(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(root: Path) -> list[Finding]:
        raise KeyError("pid")

    def after(root: Path) -> list[Finding]:
        return [Finding("ok", "after", capsys.readouterr().out)]

    monkeypatch.setattr(report, "CHECKS", (broken, after))
    assert report.report(checkout) == 1
    # What `after` says is what was on the screen before it was asked.
    assert (
        "ok    after      FAIL  broken     this check failed unexpectedly: KeyError ('pid');"
        in (capsys.readouterr().out)
    )
    with pytest.raises(KeyError):
        report.report(checkout, debug=True)
