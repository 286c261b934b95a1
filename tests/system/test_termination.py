"""Signals stop a job at once before its first step, and where it asks for them after that."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from resnet.errors import StoppedError
from resnet.system.termination import SIGNALS, Stop

ORPHAN = """
import os, sys, time
from resnet.system.termination import Stop
stop = Stop(os.getppid())
print(os.getpid(), stop.requested(), flush=True)
sys.stdin.readline()
print(stop.requested(), flush=True)
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_stops_a_job_at_once_until_the_job_defers_it(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(StoppedError, match="nothing was lost"), Stop(os.getppid()):
        signal.raise_signal(number)
    with Stop(os.getppid()) as stop:
        stop.defer()
        assert not stop.requested()
        signal.raise_signal(number)
        assert stop.requested()
    assert signal.getsignal(number) == before


def test_a_signal_whose_exception_is_caught_stops_the_job_all_the_same() -> None:
    with pytest.raises(StoppedError), Stop(os.getppid()) as stop:
        with suppress(Exception):
            signal.raise_signal(signal.SIGTERM)
        stop.defer()
    with pytest.raises(StoppedError) as error, Stop(os.getppid()):
        try:
            signal.raise_signal(signal.SIGTERM)
        except StoppedError:
            raise ImportError("initialization failed") from None
    assert isinstance(error.value.__cause__, ImportError)


def test_a_job_whose_parent_is_gone_before_it_begins_must_stop() -> None:
    with Stop(os.getppid() + 1) as stop:
        assert stop.requested()


def test_a_job_must_stop_when_its_parent_is_gone() -> None:
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ORPHAN!r}])"
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    pid, requested = parent.stdout.readline().split()
    assert requested == "False"
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while psutil.Process(int(pid)).ppid() == parent.pid:
        assert time.monotonic() < deadline
    parent.stdin.write("\n")
    parent.stdin.flush()
    assert parent.stdout.readline() == "True\n"
