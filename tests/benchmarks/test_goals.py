"""The table of goals: which row has which goal on which CPU, and how a result reads."""

import re

import pytest

from benchmarks import cpu_kind, run, table
from benchmarks.table import KINDS, Goal, Measurement, Result, Row
from tests.support import REPOSITORY, loaded

ROW = Row(
    "train",
    "train a network",
    "another build",
    {"AMX": Goal("at least", 2.0), "AVX512_BF16": Goal("at least", 1.0)},
    lambda setting: iter(()),
)
MEMORY = Row("memory", "peak memory", "2 GiB", table.everywhere("at most", 2.0), ROW.measure)


@pytest.mark.parametrize("row", run.every_row(), ids=lambda row: row.name)
def test_a_row_has_a_goal_for_each_kind_of_cpu_or_says_for_which_it_has_one(row: Row) -> None:
    assert row.goals
    assert set(row.goals) <= set(KINDS)
    for kind in KINDS:
        if kind not in row.goals:
            why = Result(row, kind, Measurement("s", 1.0, 1.0, 1.0)).as_json()["verdict"]
            assert why.startswith("the goal is for CPUs with ")


def test_each_row_has_a_name_of_its_own() -> None:
    names = [row.name for row in run.every_row()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ("fpu avx2", "neither"),
        ("fpu avx2 avx512f avx512_bf16", "AVX512_BF16"),
        ("fpu avx2 avx512f avx512_bf16 amx_bf16 amx_tile", "AMX"),
    ],
)
def test_the_instructions_for_bfloat16_decide_which_goal_holds(flags: str, kind: str) -> None:
    assert cpu_kind.kind(flags.split()) == kind


def test_the_rows_that_the_documents_name_exist() -> None:
    names = {row.name for row in run.every_row()}
    documents = [*(REPOSITORY / "docs").rglob("*.md")]
    text = "\n".join(document.read_text() for document in documents)
    named = " ".join(re.findall(r"--only ([^`#]+)", text)).split()
    assert len(named) > 10
    assert set(named) <= names


def test_a_table_says_what_is_met_missed_not_measured_and_failed() -> None:
    results = [
        Result(ROW, "AMX", Measurement.ratio("images/s", 210.0, 100.0, "compile")),
        Result(ROW, "AMX", Measurement.ratio("images/s", 150.0, 100.0)),
        Result(ROW, "neither", Measurement.ratio("images/s", 150.0, 100.0)),
        Result(MEMORY, "AMX", Measurement("GiB", 2.02, None, 2.02)),
        Result(MEMORY, "AMX", why="PyTorch is not installed"),
        Result(MEMORY, "AMX", why="an error |\n  of two lines", failed=True),
    ]
    lines = table.markdown([result.as_json() for result in results]).splitlines()
    assert lines == [
        "| work | against | ours | theirs | figure | goal |  |",
        "|---|---|---|---|---|---|---|",
        "| train a network | another build (compile) | 210 images/s | 100 images/s | 2.1 "
        "| at least 2 | met |",
        "| train a network | another build | 150 images/s | 100 images/s | 1.5 | at least 2 "
        "| **missed by 25.0 %** |",
        "| train a network | another build | 150 images/s | 100 images/s | 1.5 |  "
        "| the goal is for CPUs with AMX or with AVX512_BF16 alone |",
        "| peak memory | 2 GiB | 2.02 GiB |  | 2.02 | at most 2 | **missed by 1.0 %** |",
        "| peak memory | 2 GiB |  |  |  | at most 2 | not measured: PyTorch is not installed |",
        "| peak memory | 2 GiB |  |  |  | at most 2 | **failed**: an error / of two lines |",
    ]


def test_the_process_that_starts_the_contenders_computes_nothing_itself() -> None:
    # The threads of a library would take time from them, and its memory would count as theirs.
    assert not {"tensorflow", "jax", "keras", "mlflow"} & loaded("import benchmarks.run")
