"""A command's lines come one by one, and nothing of it outlives its caller."""

import os
import sys
import time

import psutil
import pytest

from resnet import processes

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import signal, time; "
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
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


def test_an_exit_code_is_handed_on(tmp_path):
    assert python("import sys; print('error: bad\\nmore'); sys.exit(3)", root=tmp_path) == (
        3,
        ["error: bad", "more"],
    )


def test_the_error_is_the_last_one_with_all_its_lines():
    assert processes.error(["x", "error: first", "error: the parameters:", "  a", "  b"]) == (
        "the parameters:\n  a\n  b"
    )
    assert processes.error(["fine"]) is None


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
