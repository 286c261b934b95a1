"""Show the progress of a long job: a bar in a terminal, plain lines in a log.

The plain lines have one form, `NAME: 37 % …`, which `fraction` reads back, so that a flow can
follow a stage that runs in another process.
"""

import re
import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

LINE = re.compile(r"^(?P<name>[\w-]+): +(?P<percent>\d+) %")


class Progress:
    """Progress of `total` units of work named `name`.

    Used as a context manager. In a terminal it draws a bar on stderr; elsewhere it prints a line
    when at least `seconds` have passed since the last one, and one at the end.
    """

    def __init__(self, name: str, total: int, unit: str, seconds: float) -> None:
        self.name, self.total, self.unit, self.seconds = name, total, unit, seconds
        self.done = self._resumed = 0
        self.note = ""
        self.reader_gone = False  # the process that read the lines has closed its end
        self._started = self._printed = time.monotonic()
        self._bar = (
            tqdm(total=total, desc=name, unit=unit, unit_scale=total > 100_000, leave=True)
            if sys.stderr.isatty()
            else None
        )

    def advance(self, units: int, note: str = "") -> None:
        """`units` more are done; `note` describes the state, such as `loss 1.20`."""
        self.done += units
        self.note = note or self.note
        if self._bar is not None:
            self._bar.set_postfix_str(self.note, refresh=False)
            self._bar.update(units)
        elif time.monotonic() - self._printed >= self.seconds:
            self._print()

    def resume(self, units: int) -> None:
        """`units` were done in an earlier process; they do not count for the remaining time."""
        self.done = self._resumed = units
        if self._bar is not None:
            self._bar.initial = self._bar.n = units

    def _print(self) -> None:
        self._printed = time.monotonic()
        elapsed = self._printed - self._started
        done_here = self.done - self._resumed
        left = elapsed * (self.total - self.done) / done_here if done_here else None
        try:
            print(
                f"{self.name}: {100 * self.done // max(self.total, 1):3d} % "
                f"({self.done} of {self.total} {self.unit}), {elapsed:.0f} s, "
                f"{duration(left)} left" + (f", {self.note}" if self.note else ""),
                flush=True,
            )
        except BrokenPipeError:
            self.reader_gone = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif kind is None:
            self._print()


def duration(seconds: float | None) -> str:
    """`85 s`, and from two minutes on hours and minutes, `0:07 h`; `?` if it is unknown."""
    if seconds is None:
        return "?"
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}:{minutes:02} h"


def fraction(line: str) -> tuple[str, float] | None:
    """The job's name and the share of it that is done, 0 to 1, if `line` is a plain line."""
    match = LINE.match(line)
    return (match["name"], int(match["percent"]) / 100) if match else None
