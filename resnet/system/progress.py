"""Say how far a long job is: a bar in a terminal, plain lines in a log.

The plain lines have one form, `NAME: 37 % …`, which `fraction` reads back: so the flow can follow
a stage that runs in another process.
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

    Used as a context manager. In a terminal it draws a bar on stderr, elsewhere it prints a line
    when at least `seconds` have passed since the one before, and one at the end.
    """

    def __init__(self, name: str, total: int, unit: str, seconds: float) -> None:
        self.name, self.total, self.unit, self.seconds = name, total, unit, seconds
        self.done = self._before = 0
        self.note = ""
        self.unread = False  # whoever read the lines is gone
        self._started = self._said = time.monotonic()
        self._bar = (
            tqdm(total=total, desc=name, unit=unit, unit_scale=total > 100_000, leave=True)
            if sys.stderr.isatty()
            else None
        )

    def advance(self, units: int, note: str = "") -> None:
        """`units` more are done; `note` says how it stands, such as `loss 1.20`."""
        self.done += units
        self.note = note or self.note
        if self._bar is not None:
            self._bar.set_postfix_str(self.note, refresh=False)
            self._bar.update(units)
        elif time.monotonic() - self._said >= self.seconds:
            self._say()

    def resume(self, units: int) -> None:
        """`units` were done in an earlier process, and say nothing about the time that is left."""
        self.done = self._before = units
        if self._bar is not None:
            self._bar.initial = self._bar.n = units

    def _say(self) -> None:
        self._said = time.monotonic()
        passed = self._said - self._started
        made = self.done - self._before
        left = passed * (self.total - self.done) / made if made else float("nan")
        try:
            print(
                f"{self.name}: {100 * self.done // max(self.total, 1):3d} % "
                f"({self.done} of {self.total} {self.unit}), {passed:.0f} s, {left:.0f} s left"
                + (f", {self.note}" if self.note else ""),
                flush=True,
            )
        except BrokenPipeError:
            self.unread = True

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
            self._say()


def fraction(line: str) -> tuple[str, float] | None:
    """The job's name and its share done, 0 to 1, where `line` is one of the plain lines."""
    found = LINE.match(line)
    return (found["name"], int(found["percent"]) / 100) if found else None
