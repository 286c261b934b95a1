"""What a long job prints in a log can be read back."""

import contextlib
import os
import pty
import subprocess
import sys
import termios

import pytest

from resnet.system.progress import Progress, duration, fraction


def test_each_plain_line_has_the_share_that_is_done(capsys):
    with Progress("train", total=8, unit="steps", seconds=0) as progress:
        for _ in range(8):
            progress.advance(1, "loss 1.5")
    lines = capsys.readouterr().out.splitlines()
    shares = [fraction(line) for line in lines]
    assert shares[:3] == [("train", 0.12), ("train", 0.25), ("train", 0.37)]
    assert shares[-1] == ("train", 1.0)
    assert all("loss 1.5" in line for line in lines)


BAR = """
from resnet.system.progress import Progress
with Progress("train", total=8, unit="steps", seconds=0) as progress:
    for _ in range(8):
        progress.advance(1, "loss 1.5")
"""


def test_a_terminal_gets_a_bar_and_no_plain_lines():
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    done = subprocess.run(
        [sys.executable, "-c", BAR], stdout=subprocess.PIPE, stderr=theirs, text=True, check=True
    )
    os.close(theirs)
    drawn = b""
    with contextlib.suppress(OSError):  # the terminal's end
        while part := os.read(ours, 4096):
            drawn += part
    os.close(ours)
    assert done.stdout == ""
    last = drawn.decode().strip().rpartition("\r")[2]
    assert last.startswith("train: 100%|")
    assert "| 8/8 [" in last
    assert "loss 1.5" in last


def test_a_job_that_fails_does_not_say_it_is_done(capsys):
    try:
        with Progress("train", total=8, unit="steps", seconds=60) as progress:
            progress.advance(1)
            raise RuntimeError
    except RuntimeError:
        assert capsys.readouterr().out == ""


def test_other_lines_are_not_progress():
    assert fraction("train: the loss is NaN") is None
    assert fraction("error: train: 3 %") is None


def test_the_remaining_time_is_computed_from_what_this_process_did(capsys, monkeypatch):
    now = iter([0.0, 10.0, 10.0, 10.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    progress = Progress("train", total=100, unit="steps", seconds=0)
    progress.resume(50)
    progress.advance(10)
    assert capsys.readouterr().out == "train:  60 % (60 of 100 steps), 10 s, 40 s left\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"),
        (0.4, "0 s"),
        (119.4, "119 s"),
        (120, "0:02 h"),
        (29_222, "8:07 h"),
        (3599, "1:00 h"),
    ],
)
def test_a_long_time_is_told_in_hours_and_minutes(seconds, text):
    assert duration(seconds) == text


def test_a_reader_that_is_gone_is_noticed(monkeypatch):
    reader, writer = os.pipe()
    pipe = os.fdopen(writer, "w")
    monkeypatch.setattr("sys.stdout", pipe)
    progress = Progress("train", total=8, unit="steps", seconds=0)
    progress.advance(1)
    assert not progress.reader_gone
    os.close(reader)
    progress.advance(1)
    assert progress.reader_gone
    with contextlib.suppress(BrokenPipeError):
        pipe.close()
