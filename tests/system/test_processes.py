"""A command's lines come one by one, and nothing of it outlives its caller."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from resnet.system import processes
from tests.support import REPOSITORY

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import signal, time; "
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""

COMMAND = """
import os, sys
from resnet import cli
from resnet.system import processes
from resnet.cli import pipeline

def work(root, arguments):
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    say = lambda line: print(line, flush=True)
    processes.stream([sys.executable, "-c", code], root, os.environ, say)

pipeline._doctor = work
sys.exit(cli.main(["doctor"]))
"""


def python(script, say=lambda line: None, root="."):
    return processes.stream([sys.executable, "-c", script], root, os.environ, say)


def lives(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_lines_come_while_the_command_runs(tmp_path):
    seen = []
    code, lines = python(
        "import time; print('one', flush=True); time.sleep(0.5); print('two')",
        lambda line: seen.append((line, time.monotonic())),
        tmp_path,
    )
    assert code == 0
    assert lines == ["one", "two"]
    assert seen[1][1] - seen[0][1] > 0.4


def test_an_exit_code_is_returned(tmp_path):
    assert python("import sys; print('error: bad\\nmore'); sys.exit(3)", root=tmp_path) == (
        3,
        ["error: bad", "more"],
    )


def test_the_error_is_the_last_one_with_all_its_lines():
    assert processes.error(["x", "error: first", "error: the parameters:", "  a", "  b"]) == (
        "the parameters:\n  a\n  b"
    )
    assert processes.error(["fine"]) is None


def test_a_command_of_ours_that_is_terminated_ends_what_it_has_started(tmp_path):
    for name in ("dvc.yaml", "params.yaml"):
        (tmp_path / name).touch()
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    words = [sys.executable, "-c", COMMAND]
    with subprocess.Popen(words, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as ours:
        try:
            child = int(ours.stdout.readline())
            ours.terminate()
            assert ours.wait(timeout=60) == 128 + signal.SIGTERM
            assert not lives(child)
        finally:
            processes.end(ours.pid)


def test_a_command_and_its_deaf_child_end_with_their_caller(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "GRACE_SECONDS", 1.0)
    pids, deaf = [], []

    def stop_when_both_run(line):
        (deaf if line == "deaf" else pids).append(line)
        if deaf and pids:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        python(PARENT, stop_when_both_run, tmp_path)
    assert not lives(int(pids[0]))


def test_a_process_is_known_to_have_ended_unless_it_lives_or_is_elsewhere():
    me = processes.identity()
    assert not processes.has_ended(me)
    host, pid, born, system = me.split()
    before = float(born) - 60
    assert processes.has_ended(f"{host} {pid} {before} {system}")  # its number was given again
    assert not processes.has_ended(f"elsewhere {pid} {before} {system}")
    assert not processes.has_ended(f"{host} {pid} {before} another")  # a host of the same name
    assert not processes.has_ended("")
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    gone = f"{host} {child.pid} {psutil.Process(child.pid).create_time()} {system}"
    assert not processes.has_ended(gone)
    child.kill()
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert processes.has_ended(gone)  # though its parent has not looked after it
    child.communicate()
    assert processes.has_ended(gone)


@pytest.mark.parametrize(
    ("lines", "passed_on", "released"),
    [
        (["a", "error: no disk", "  free some", "ERROR: failed"], ["a"], 4),
        (["a", "error: it seems", "b"], ["a"], 3),
        (["error: it seems", *["b"] * processes.MAX_ERROR_LINES], None, 51),
    ],
)
def test_the_error_at_the_end_is_held_back_and_nothing_else_is_lost(lines, passed_on, released):
    said = []
    before_error = processes.BeforeError(said.append)
    for line in lines:
        before_error(line)
    assert said == (lines if passed_on is None else passed_on)
    before_error.release()
    assert said == lines
    assert len(said) == released
