"""A lock of DVC whose process has ended is told from one whose process works."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resnet.checkout import dvc, dvc_rwlock

REPRO = "/usr/bin/dvc repro --single-item copy"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository of DVC with one stage."""
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    (tmp_path / "dvc.yaml").write_text("stages: {copy: {cmd: echo 1 > out, outs: [out]}}\n")
    return tmp_path


@pytest.fixture
def process() -> Iterator[Callable[..., int]]:
    """Start a process with some arguments; its id."""
    started = []

    def start(*words: str) -> int:
        command = [sys.executable, "-c", "input()", *words]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE))
        return started[-1].pid

    yield start
    for one in started:
        one.communicate()


def lock(root: Path, pid: int, command: str = REPRO) -> Path:
    """As a process leaves it that was killed while it reproduced the stage."""
    path = dvc_rwlock.path(root)
    holder = {"pid": pid, "cmd": command}
    path.write_text(json.dumps({"write": {str(root / "out"): holder}, "read": {}}))
    return path


def test_dvc_does_not_wait_for_another_program_that_has_the_id_of_an_ended_one(
    checkout: Path, process: Callable[..., int]
) -> None:
    pid = process("another", "program")
    path = lock(checkout, pid)
    with pytest.raises(dvc.DvcError) as error:
        dvc.reproduce("copy", checkout, 600, lambda line: None)
    assert str(error.value).startswith(f"copy: DVC's lock {path} names process {pid} ({REPRO})")
    assert "Remove this file, leave that process alone" in str(error.value)
    path.unlink()
    assert dvc.reproduce("copy", checkout, 600, lambda line: None) == "ran"


def test_whoever_waits_in_vain_is_told_for_which_process(
    checkout: Path, process: Callable[..., int]
) -> None:
    pid = process(*REPRO.split()[1:])
    lock(checkout, pid)
    with pytest.raises(dvc.DvcError, match=rf"for \d+ s, process {pid} \({REPRO}\): wait"):
        dvc.reproduce("copy", checkout, -1, lambda line: None)


def test_a_process_that_began_after_its_lock_was_written_does_not_hold_it(
    checkout: Path, process: Callable[..., int]
) -> None:
    pid = process(*REPRO.split()[1:])
    path = lock(checkout, pid)
    assert [holder.state for holder in dvc_rwlock.holders(checkout)] == ["alive"]
    before = path.stat().st_mtime - 60
    os.utime(path, (before, before))
    assert [holder.state for holder in dvc_rwlock.holders(checkout)] == ["replaced"]
