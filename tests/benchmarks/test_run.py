"""`python -m benchmarks.run` measures, and keeps what it has measured whatever happens then."""

import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

from tests.support import REPOSITORY

NEEDS_TORCH = {"torch_peer"}  # which has an environment of its own

IMPORTED = """
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
    found = {one.name for one in pkgutil.iter_modules([str(REPOSITORY / "benchmarks")])}
    assert found > NEEDS_TORCH
    done = python(IMPORTED, *sorted(found - NEEDS_TORCH))
    assert done.returncode == 0, done.stderr


def test_a_group_that_fails_is_a_row_and_the_others_are_measured(tmp_path: Path) -> None:
    # The row before the failure is kept, and the group after it really trains.
    out = tmp_path / "benchmarks.json"
    words = ["--out", str(out), "--peer", str(tmp_path / "none")]  # all groups
    done = python(SMALL, *words, RESNET_STATE=str(tmp_path / "state"))
    assert done.returncode == 1, done.stderr
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
    assert "| training |  |  |  |  |  |  | not measured: it failed, ZeroDivision" in done.stdout
    assert "| work | s | 1 |  |  | 1 | at most 2 | holds |" in done.stdout


def test_an_unknown_group_is_named_with_those_that_there_are() -> None:
    done = python("from benchmarks import run; run.main()", "wrong")
    assert done.returncode == 2
    assert "no group 'wrong': choose from training, scoring, serving" in done.stderr
