"""`python -m benchmarks.run` measures rows, and keeps what it has if a later one fails."""

import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks import cpu_kind, goals, run
from benchmarks.rounds import NotMeasuredError
from benchmarks.table import KINDS, Measurement, Row, Setting, everywhere
from tests.support import REPOSITORY

NEEDS_TORCH = {"airbench_peer", "torch_peer"}  # they have an environment of their own

IMPORT = """
import importlib, sys
from resnet.model import backend
backend.select("tensorflow", "cpu")
for name in sys.argv[1:]:
    importlib.import_module(f"benchmarks.{name}")
"""

# The row against commit f50bffb, with a network that trains in seconds.
SMALL = """
import sys
from benchmarks import in_turn, rounds, run

rounds.ROUNDS = 1
in_turn.NETS["ResNet-20"].update(depth=8, widths=[4, 4, 4], batches=1)
sys.exit(run.main())
"""


def python(code: str, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def fails(setting: Setting) -> Iterator[Measurement]:
    yield Measurement.ratio("s", 3.0, 2.0)
    raise ZeroDivisionError("not by zero")


def lacks_pytorch(setting: Setting) -> Iterator[Measurement]:
    raise NotMeasuredError("PyTorch is not installed")
    yield


def works(setting: Setting) -> Iterator[Measurement]:
    yield Measurement.ratio("s", 1.0, 2.0)


def is_interrupted(setting: Setting) -> Iterator[Measurement]:
    raise KeyboardInterrupt
    yield


def row(name: str, measure: Callable[[Setting], Iterator[Measurement]], by_name: str = "") -> Row:
    return Row(name, name, "another", everywhere("at most", 1.0), measure, by_name)


@pytest.fixture
def bench(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, list[dict[str, str]]]]:
    """Run the benchmarks with these rows: the exit code, the table and the written lines."""
    out = tmp_path / "benchmarks.jsonl"

    def bench(rows: Sequence[Row], *words: str) -> tuple[int, str, list[dict[str, str]]]:
        monkeypatch.setattr(goals, "ROWS", rows)
        none = str(tmp_path / "none")
        monkeypatch.setattr(sys, "argv", ["run", "--out", str(out), "--peer", none, *words])
        code = run.main()
        lines = [json.loads(line) for line in out.read_text().splitlines()]
        return code, capsys.readouterr().out, lines

    monkeypatch.chdir(REPOSITORY)
    return bench


def test_every_module_can_be_imported() -> None:
    modules = {module.name for module in pkgutil.iter_modules([str(REPOSITORY / "benchmarks")])}
    assert modules > NEEDS_TORCH
    process = python(IMPORT, *sorted(modules - NEEDS_TORCH))
    assert process.returncode == 0, process.stderr


def test_a_row_that_fails_is_reported_and_the_other_rows_are_measured(bench) -> None:
    rows = [row("first", fails), row("second", fails), row("third", works)]
    code, printed, lines = bench(rows)
    assert code == 1
    assert [line["verdict"] for line in lines] == [
        "**missed by 50.0 %**",
        "**failed**: ZeroDivisionError: not by zero",
        "met",
    ]
    assert "| third | another | 1 s | 2 s | 0.5 | at most 1 | met |" in printed


def test_neither_a_missed_goal_nor_what_is_not_installed_is_an_error(bench) -> None:
    rows = [row("missed", lambda s: iter([Measurement.ratio("s", 3.0, 2.0)]))]
    code, printed, _ = bench([*rows, row("torch", lacks_pytorch)])
    assert code == 0
    assert "not measured: PyTorch is not installed" in printed


def test_an_interrupted_benchmark_keeps_its_rows_and_its_table_can_be_printed(bench) -> None:
    with pytest.raises(KeyboardInterrupt):
        bench([row("first", works), row("second", is_interrupted)])
    rows = [row("first", fails), row("second", works)]
    _, _, lines = bench(rows, "--only", "second")
    assert [line["row"] for line in lines] == ["first", "second"]
    code, printed, lines = bench(rows, "--table")
    assert code == 0
    assert "| first | another | 1 s | 2 s | 0.5 | at most 1 | met |" in printed
    assert "| second | another | 1 s | 2 s | 0.5 | at most 1 | met |" in printed
    assert len(lines) == 2


def test_what_takes_hours_is_measured_where_it_is_named(bench) -> None:
    rows = [row("long", works, by_name="it takes hours")]
    _, _, [line] = bench(rows)
    assert line["verdict"].startswith("not measured: it takes hours: `python -m benchmarks.run --o")
    _, _, lines = bench(rows, "--only", "long")
    assert lines[-1]["verdict"] == "met"
    bench(rows)  # which does not replace the measurement in the table
    assert "| 1 s | 2 s | 0.5 | at most 1 | met |" in bench(rows, "--table")[1]


def test_a_row_without_a_goal_on_this_cpu_is_measured_where_it_is_named(bench) -> None:
    other = next(kind for kind in KINDS if kind != cpu_kind.here())
    goal = everywhere("at most", 1.0)[other]
    rows = [Row("elsewhere", "work", "another", {other: goal}, works)]
    _, _, [line] = bench(rows)
    assert line["verdict"].startswith("not measured: the goal is for CPUs with")
    _, _, lines = bench(rows, "--only", "elsewhere")
    assert (lines[-1]["ours"], lines[-1]["theirs"]) == (1.0, 2.0)
    assert lines[-1]["verdict"].startswith("the goal is for CPUs with")


def test_of_rows_that_are_measured_together_no_more_are_than_are_named(bench) -> None:
    rows = [row("first", fails), row("second", fails), row("third", works)]
    code, _, lines = bench(rows, "--only", "first", "third")
    assert code == 0
    assert [line["row"] for line in lines] == ["first", "third"]


def test_an_unknown_row_is_refused_with_a_list_of_the_rows(
    bench, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        bench(goals.ROWS, "--only", "wrong")
    assert "no row 'wrong': choose from train-today, train-torch" in capsys.readouterr().err


def test_both_builds_train_in_turn(tmp_path: Path) -> None:
    out = tmp_path / "benchmarks.jsonl"
    process = python(SMALL, "--out", str(out), "--only", "train-today")
    assert process.returncode == 0, process.stderr
    [today] = map(json.loads, out.read_text().splitlines())
    if "does not have commit f50bffb" in today["verdict"]:
        pytest.skip("this clone is a shallow one, without the build to compare with")
    assert today["figure"] == pytest.approx(today["ours"] / today["theirs"])
