"""Signals end a job at once before its first step, and when it asks after that."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

from resnet.errors import StoppedError
from resnet.training.stop import SIGNALS, Stop

ORPHAN = """
import os, sys, time
from resnet.training.stop import Stop
stop = Stop()
print(os.getpid(), stop.asked(), flush=True)
sys.stdin.readline()
print(stop.asked(), flush=True)
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_job_at_once_until_it_asks_for_more_time(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(StoppedError, match="nothing is lost"), Stop():
        signal.raise_signal(number)
    with Stop() as stop:
        stop.defer()
        assert not stop.asked()
        signal.raise_signal(number)
        assert stop.asked()
    assert signal.getsignal(number) == before


def test_a_job_shall_end_when_its_parent_is_gone() -> None:
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ORPHAN!r}])"
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    pid, asked = parent.stdout.readline().split()
    assert asked == "False"
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while psutil.Process(int(pid)).ppid() == parent.pid:
        assert time.monotonic() < deadline
    parent.stdin.write("\n")
    parent.stdin.flush()
    assert parent.stdout.readline() == "True\n"
