"""`python -m benchmarks.run` measures, and keeps what it has measured if a later row fails."""

import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

from tests.support import REPOSITORY

NEEDS_TORCH = {"torch_peer"}  # it has an environment of its own

IMPORT = """
import importlib, sys
from resnet.model import backend
backend.select("tensorflow", "cpu")
for name in sys.argv[1:]:
    importlib.import_module(f"benchmarks.{name}")
"""

SMALL = """
import sys
from types import SimpleNamespace
from benchmarks import exactness, rounds, run
from benchmarks.table import Goal, Row
from resnet import params
from resnet.checkout import project

def broken(python):
    yield Row("work", "s", 1.0, "", None, 1.0, Goal("at most", 2.0))
    raise ZeroDivisionError("not by zero")

def small():
    root = project.find_root()
    tiny = ["net.depth=4", "net.widths=[4]"]
    return {"small": params.check(params.merge(params.read(root), root, "smoke", tiny))}

sys.modules["benchmarks.training"] = SimpleNamespace(rows=broken)
run.GROUPS = ("training", "exactness")
rounds.ROUNDS, exactness.BATCHES, exactness.nets = 1, 2, small
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


def test_every_module_can_be_imported() -> None:
    modules = {module.name for module in pkgutil.iter_modules([str(REPOSITORY / "benchmarks")])}
    assert modules > NEEDS_TORCH
    process = python(IMPORT, *sorted(modules - NEEDS_TORCH))
    assert process.returncode == 0, process.stderr


def test_a_group_that_fails_is_a_row_and_the_other_groups_are_measured(tmp_path: Path) -> None:
    # The row before the failure is kept, and the group after it really trains.
    out = tmp_path / "benchmarks.json"
    words = ["--out", str(out), "--peer", str(tmp_path / "none")]  # all groups
    process = python(SMALL, *words, RESNET_STATE=str(tmp_path / "state"))
    assert process.returncode == 1, process.stderr
    rows = json.loads(out.read_text())["rows"]
    assert [row["work"] for row in rows] == [
        "work",
        "training",
        "train small, batch 64, deterministic",
        "a checkpoint of small, in % of the time from one to the next",
    ]
    assert rows[0]["holds"] is True
    assert rows[1]["why"] == "it failed, ZeroDivisionError: not by zero"
    assert rows[2]["ours"] > 0
    assert 0 < rows[3]["ours"] < 10
    assert "| training |  |  |  |  |  |  | not measured: it failed, ZeroDivision" in process.stdout
    assert "| work | s | 1 |  |  | 1 | at most 2 | holds |" in process.stdout


def test_an_unknown_group_is_refused_with_a_list_of_the_groups() -> None:
    process = python("from benchmarks import run; run.main()", "wrong")
    assert process.returncode == 2
    assert "no group 'wrong': choose from training, scoring, serving" in process.stderr
