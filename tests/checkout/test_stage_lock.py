"""Two working trees compute the same once. Real DVC repositories with one cache, real processes."""

import subprocess
import sys
import time

import psutil
import pytest
import yaml

from resnet.system import processes

STAGE = """
import pathlib, sys, time
shared = pathlib.Path(sys.argv[1])
with (shared / "computed").open("a") as log:
    log.write("once\\n")
while not (shared / "go").exists():
    time.sleep(0.05)
pathlib.Path("model").write_text(pathlib.Path("data").read_text())
"""
RUN = """
import sys
from pathlib import Path
from resnet.checkout import stages
print(stages.run("train", Path.cwd(), float(sys.argv[1]), print).action)
"""


@pytest.fixture
def shared(tmp_path):
    """Two trees, first and second, as `worktree` makes them: one cache, one state."""
    (tmp_path / "stage.py").write_text(STAGE)
    for name in ("first", "second"):
        root = tmp_path / name
        root.mkdir()
        (root / "params.yaml").write_text("train: {seed: 1}\npaths: {data: data}\n")
        (root / "data").write_text("images")
        stage = {
            "cmd": f"python {tmp_path / 'stage.py'} {tmp_path}",
            "params": ["train"],
            "deps": ["${paths.data}"],
            "outs": ["model"],
        }
        (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage}}))
        (root / ".dvc").mkdir()
        settings = f"[core]\n    no_scm = True\n[cache]\n    dir = {tmp_path / 'cache'}\n"
        (root / ".dvc" / "config").write_text(settings)
    return tmp_path


@pytest.fixture
def start(shared, monkeypatch):
    """A function that runs the stage in a tree, in a process of its own."""
    monkeypatch.setenv("RESNET_STATE", str(shared / "state"))
    started = []

    def one(tree, lock_seconds=60):
        command = [sys.executable, "-u", "-c", RUN, str(lock_seconds)]
        started.append(
            subprocess.Popen(
                command,
                cwd=shared / tree,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return started[-1]

    yield one
    for process in started:
        processes.end(process.pid)
        process.stdout.close()
        process.wait()


def computed(shared, times, seconds=60):
    """Wait until the stage has begun that many times."""
    log, deadline = shared / "computed", time.monotonic() + seconds
    while not (log.exists() and log.read_text().count("once") == times):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_second_tree_takes_the_result_of_the_first(shared, start):
    first = start("first")
    computed(shared, 1)
    second = start("second")
    assert "another process runs this stage with the same inputs" in second.stdout.readline()
    (shared / "go").touch()
    assert first.communicate(timeout=60)[0].split()[-1] == "ran"
    assert second.communicate(timeout=60)[0].split()[-1] == "restored"
    computed(shared, 1, seconds=0.1)
    assert (shared / "second" / "model").read_text() == "images"
    assert list((shared / "state" / "stages").iterdir()) == []


def test_other_parameters_do_not_wait(shared, start):
    (shared / "second" / "params.yaml").write_text("train: {seed: 2}\npaths: {data: data}\n")
    start("first")
    computed(shared, 1)
    start("second")
    computed(shared, 2)


def test_what_a_killed_process_held_is_free_and_who_waits_is_told_again_and_again(shared, start):
    first = start("first")
    computed(shared, 1)
    patient = start("second", lock_seconds=1)
    for _ in range(3):
        assert "waiting for its result" in patient.stdout.readline()
    children = psutil.Process(first.pid).children(recursive=True)
    first.kill()
    computed(shared, 2)
    for child in children:
        child.kill()
    (shared / "go").touch()
    assert patient.communicate(timeout=60)[0].split()[-1] == "ran"
