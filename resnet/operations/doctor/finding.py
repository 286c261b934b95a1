"""What a check of `doctor` returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Level = Literal["ok", "warn", "fail"]
MARKS: Mapping[Level, str] = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was checked, with which result, and what to do."""

    level: Level
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{MARKS[self.level]}  {self.subject:<10} {self.text}"


Check = Callable[[Path], list[Finding]]
"""One problem, or several of a kind: the checkout's root → the findings, at least one."""
