"""Rows of the benchmarks' table: a figure, what it is compared with, and its goal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Goal:
    bound: Literal["at least", "at most"]
    value: float

    def holds(self, figure: float) -> bool:
        return figure >= self.value if self.bound == "at least" else figure <= self.value

    def __str__(self) -> str:
        return f"{self.bound} {self.value:g}"


@dataclass(frozen=True)
class Row:
    """One measurement. The goal is about `figure`: a ratio, or `ours` itself."""

    work: str
    unit: str
    ours: float
    against: str  # what `theirs` is; empty if there is none
    theirs: float | None
    figure: float
    goal: Goal

    @property
    def holds(self) -> bool:
        return self.goal.holds(self.figure)


@dataclass(frozen=True)
class MissingRow:
    """A row that could not be measured; a table with one is incomplete."""

    work: str
    why: str


def quotient(work: str, unit: str, ours: float, against: str, theirs: float, goal: Goal) -> Row:
    """The row whose figure is `ours` / `theirs`."""
    return Row(work, unit, ours, against, theirs, ours / theirs, goal)


def markdown(rows: Sequence[Row | MissingRow]) -> str:
    """The table of docs/benchmarks.md."""
    head = ("work", "unit", "ours", "against", "theirs", "figure", "goal", "")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join(lines + [f"| {' | '.join(_cells(row))} |" for row in rows])


def _cells(row: Row | MissingRow) -> tuple[str, ...]:
    if isinstance(row, MissingRow):
        return (row.work, "", "", "", "", "", "", f"not measured: {row.why}")
    return (
        row.work,
        row.unit,
        f"{row.ours:.4g}",
        row.against,
        "" if row.theirs is None else f"{row.theirs:.4g}",
        f"{row.figure:.3g}",
        str(row.goal),
        "holds" if row.holds else "missed",
    )
