"""DVC's file of locks on paths, read: which processes hold one, and which are said to.

DVC takes a holder for alive while any process has its id, though that may be another program's by
now: it waits for that one for ever.
"""

import itertools
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import psutil

from resnet.errors import PipelineError
from resnet.system.processes import CLOCK_SECONDS

State = Literal["alive", "ended", "replaced"]


@dataclass(frozen=True, order=True)
class Holder:
    """A process that the file names."""

    pid: int
    command: str  # as DVC was called
    state: State  # replaced: another program has its id now

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command})"


def path(root: Path) -> Path:
    """Where DVC keeps it in the checkout at `root`; without a lock it need not be there."""
    return root / ".dvc" / "tmp" / "rwlock"


def holders(root: Path) -> list[Holder]:
    """The processes that it names. Raises PipelineError where it is damaged."""
    file = path(root)
    if not file.exists():
        return []
    written = file.stat().st_mtime
    try:
        locks = json.loads(file.read_text())
        readers = itertools.chain.from_iterable(locks.get("read", {}).values())
        named = {
            (int(lock["pid"]), str(lock["cmd"]))
            for lock in (*locks.get("write", {}).values(), *readers)
        }
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise PipelineError(
            f"{file} is not a list of locks ({error}), and DVC runs no stage beside it: make "
            "sure that no dvc is running, and remove it"
        ) from None
    return sorted(Holder(pid, command, _state(pid, command, written)) for pid, command in named)


def advice(root: Path, holder: Holder) -> str:
    """What to do about a `holder` whose id is another program's now."""
    try:
        process = psutil.Process(holder.pid)
        started = datetime.fromtimestamp(process.create_time(), UTC)
        program = f"that of {process.name()}, started {started:%Y-%m-%d %H:%M:%S} UTC"
    except psutil.Error:
        program = "that of another program"
    return (
        f"DVC's lock {path(root)} names {holder}, which has ended: its id is now {program}. Remove "
        "this file, leave that process alone, and run this again"
    )


def _state(pid: int, command: str, written: float) -> State:
    """Whether the process works on for which DVC wrote a lock, in or before the time `written`."""
    try:
        process = psutil.Process(pid)
        words = " ".join(
            process.cmdline()
        ).split()  # empty where a process of the kernel has the id
        later = process.create_time() > written + CLOCK_SECONDS
    except psutil.NoSuchProcess:
        return "replaced" if psutil.pid_exists(pid) else "ended"  # the former: nobody collects it
    except psutil.AccessDenied:
        return "alive"
    # Also where a later dvc has written the file again: what it was called with is in no other.
    asked = command.split()[-1:]
    return "replaced" if later or not set(asked) <= set(words) else "alive"
