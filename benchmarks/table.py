"""The table of goals: what each row is, what was measured, and whether its goal is met."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["AMX", "AVX512_BF16", "neither"]  # of CPUs, see cpu_kind.py
KINDS: tuple[Kind, ...] = ("AMX", "AVX512_BF16", "neither")
WORDS: Mapping[Kind, str] = {
    "AMX": "with AMX",
    "AVX512_BF16": "with AVX512_BF16 alone",
    "neither": "with neither AMX nor AVX512_BF16",
}
HEAD = ("work", "against", "ours", "theirs", "figure", "goal", "")


@dataclass(frozen=True)
class Goal:
    bound: Literal["at least", "at most"]
    value: float

    def __str__(self) -> str:
        return f"{self.bound} {self.value:g}"

    def verdict(self, figure: float) -> str:
        """Whether `figure` meets the goal, or by which part of the goal it misses it."""
        missing = self.value - figure if self.bound == "at least" else figure - self.value
        return f"**missed by {100 * missing / self.value:.1f} %**" if missing > 0 else "met"


def everywhere(bound: Literal["at least", "at most"], value: float) -> dict[Kind, Goal]:
    """The same goal on every CPU."""
    return {kind: Goal(bound, value) for kind in KINDS}


@dataclass(frozen=True)
class Setting:
    """Where the benchmarks run."""

    root: Path  # the checkout
    torch: Path  # the interpreter of the environment with PyTorch and OpenVINO
    kind: Kind


@dataclass(frozen=True)
class Measurement:
    """What a row's goal is about is `figure`: mostly `ours` / `theirs`."""

    unit: str
    ours: float
    theirs: float | None
    figure: float
    note: str = ""  # which of the peers was the better, how long the trainings were

    @classmethod
    def ratio(cls, unit: str, ours: float, theirs: float, note: str = "") -> "Measurement":
        return cls(unit, ours, theirs, ours / theirs, note)


@dataclass(frozen=True)
class Row:
    """A row of the table. Successive rows with the same `measure` are measured together.

    `measure` yields one measurement for each of them, in their order. It raises NotMeasuredError
    where something optional is missing; whatever else it raises is an error of the benchmark.
    """

    name: str  # for the command line
    work: str
    against: str  # what the figure compares it with
    goals: Mapping[Kind, Goal]  # a CPU of another kind has no goal
    measure: Callable[[Setting], Iterator[Measurement]]
    by_name: str = ""  # why it is measured only where it is named; empty: it always is

    @property
    def no_goal(self) -> str:
        """Why a kind of CPU that is not among `goals` has none."""
        return f"the goal is for CPUs {' or '.join(WORDS[kind] for kind in self.goals)}"


@dataclass(frozen=True)
class Result:
    """A row that was measured, or why it was not."""

    row: Row
    kind: Kind
    measurement: Measurement | None = None
    why: str = ""
    failed: bool = False  # by an error, and not because something optional is missing

    def as_json(self) -> dict[str, Any]:
        """All that a line of the table shows."""
        measurement, goal = self.measurement, self.row.goals.get(self.kind)
        figures = vars(measurement) if measurement else {}
        return {
            "row": self.row.name,
            "kind": self.kind,
            "work": self.row.work,
            "against": self.row.against,
            **figures,
            "goal": str(goal) if goal else "",
            "verdict": self._verdict(goal),
            "failed": self.failed,
        }

    def _verdict(self, goal: Goal | None) -> str:
        if self.measurement is None:
            return f"**failed**: {self.why}" if self.failed else f"not measured: {self.why}"
        return goal.verdict(self.measurement.figure) if goal else self.row.no_goal


def markdown(lines: Sequence[Mapping[str, Any]]) -> str:
    """The table of docs/benchmarks.md, from what `Result.as_json` gives."""
    head = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    return "\n".join(head + [f"| {' | '.join(_cells(line))} |" for line in lines])


def _cells(line: Mapping[str, Any]) -> Iterator[str]:
    yield line["work"]
    note = line.get("note")
    yield f"{line['against']} ({note})" if note else line["against"]
    for name in ("ours", "theirs"):
        value = line.get(name)
        yield "" if value is None else f"{value:.4g} {line['unit']}"
    yield f"{line['figure']:.3g}" if "figure" in line else ""
    yield line["goal"]
    # A table's cell is one line, and an error's text may be several.
    yield " ".join(line["verdict"].replace("|", "/").split())
