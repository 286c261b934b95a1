"""A checkout that was used before the package's modules moved works after it.

The archive beside this file holds what such a checkout had: its .state, made by commit f50bffb with
`dvc repro` and `resnet publish` for three versions of a tiny network on the generated stand-in, cut
down to 500 images a file, then `resnet promote`, `rollback`, `approve`, `predict` and `monitor`.
`told/` holds what that code's `history`, `card`, `predict` and `monitor` said of it. Pictures,
reports and MLflow's own form of the models were left out, and the cards drawn again without them.
"""

import io
import json
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import chdir, closing, redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import yaml

from resnet import cli
from resnet.registry import relocation
from resnet.registry.gate.verdict import Verdict

REPOSITORY = Path(__file__).parents[2]
ARCHIVE = Path(__file__).with_name("store-f50bffb.tar.xz")
NAME = "generated-resnet"
# Of its params.yaml, what its records depend on.
PARAMETERS = {
    "data": {"dataset": "generated"},
    "gate": {
        "floor": 0.3,
        "class_floor": 0,
        "margin": 0.25,
        "confidence": 0.95,
        "calibration_error": 1,
        "uncalibrated_error": None,  # it knew one ceiling
        "latency_ms": 10_000,
        "size_bytes": 50_000_000,
    },
    "monitor": {"batches": 10, "images": 20, "significance": 0.01, "distance": 0.1},
}
# Number, action, mark, version, and production before and after.
EVENTS = [
    ("0", "promote", "", "1", "–", "1"),
    ("1", "refuse", "", "2", "", ""),
    ("2", "promote", "forced", "2", "1", "2"),
    ("3", "rollback", "", "1", "2", "1"),
    ("4", "request", "approved", "3", "", ""),
    ("5", "approve", "", "3", "1", "3"),
    ("6", "request", "open", "1", "", ""),
]
ROW = re.compile(r"(\d+) +[\d-]{10} [\d:]{8} +(\w+)(?: \((\w+)\))? +(\d+)(?: +(\S+) → (\S+))?")

Call = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive's files, to copy."""
    root = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(root, filter="data")
    return root


@pytest.fixture
def checkout(unpacked: Path, tmp_path: Path) -> Path:
    """The old checkout, as it is once it has this code."""
    root = tmp_path / "checkout"
    shutil.copytree(unpacked, root)
    shutil.copy(REPOSITORY / "dvc.yaml", root)
    (root / "data" / "extra").mkdir()
    values = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    for section, chosen in PARAMETERS.items():
        values[section] |= chosen
    (root / "params.yaml").write_text(yaml.safe_dump(values))
    relocation.relocate(root)  # it was made in another folder
    return root


@pytest.fixture
def call(checkout: Path, tmp_path: Path) -> Call:
    """A function that runs a `resnet` command in the checkout, in this process."""
    room = tmp_path / "temporary"
    room.mkdir()

    def one(*words: str, code: int = 0) -> CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, {"TMPDIR": str(room)}),  # its changes go with the block
            patch.object(tempfile, "tempdir", None),
            chdir(checkout),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            found = cli.main(words)
        done = CompletedProcess(words, found, out.getvalue(), err.getvalue())
        assert found == code, done
        return done

    return one


def opened(root: Path) -> sqlite3.Connection:
    return sqlite3.connect(root / ".state" / "mlflow" / "mlflow.db")


def runs(root: Path, experiment: str) -> int:
    """How many an experiment has."""
    query = "SELECT count(*) FROM runs JOIN experiments AS e USING (experiment_id) WHERE e.name = ?"
    with closing(opened(root)) as store:
        return int(store.execute(query, (experiment,)).fetchone()[0])


def told(root: Path, name: str) -> str:
    """What the old code said."""
    return (root / "told" / name).read_text()


def events(jsonlines: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in jsonlines.splitlines()]


def of_old(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """What `new` has of the keys of `old`; it may have more."""
    return {name: new[name] for name in old if name in new}


def counts(predicted: str) -> dict[str, int]:
    """How many images each class has, in what `predict` says."""
    return {name: int(count) for name, count in re.findall(r"^ +(\w+) +(\d+)$", predicted, re.M)}


def production(call: Call) -> list[int]:
    """The versions that came into production, in order, as a chain without a break tells."""
    history = call("history", "--json")
    assert "warning" not in history.stderr
    return [one["version_to"] for one in events(history.stdout) if one["version_to"]]


def test_the_history_has_the_same_events_in_a_chain_that_is_whole(call: Call) -> None:
    history = call("history")
    rows = [tuple(part or "" for part in row) for row in ROW.findall(history.stdout)]
    assert rows == EVENTS
    assert "ann@host" in history.stdout
    assert "for a disc – see £5" in history.stdout
    assert "warning" not in history.stderr


def test_each_event_says_all_that_it_said(checkout: Path, call: Call) -> None:
    found = events(call("history", "--json").stdout)
    before = events(told(checkout, "history.jsonl"))
    assert [of_old(old, new) for old, new in zip(before, found, strict=True)] == before


def test_an_event_that_was_edited_is_noticed(checkout: Path, call: Call) -> None:
    with closing(opened(checkout)) as store, store:
        edit = "UPDATE tags SET value = 'it was better' WHERE value = 'we want to see it at work'"
        assert store.execute(edit).rowcount == 1
    assert re.search(r"warning: .*\b2\b", call("history").stderr)


def test_the_doctor_finds_the_artifacts_and_the_ledger_in_order(call: Call) -> None:
    found = {tuple(line.split()[:2]) for line in call("doctor").stdout.splitlines()}
    assert {("ok", "artifacts"), ("ok", "ledgers")} <= found


@pytest.mark.parametrize(
    ("version", "accuracy"), [("1", "98.40%"), ("2", "13.00%"), ("3", "99.60%")]
)
def test_the_card_of_a_version_has_the_same_numbers(
    checkout: Path, call: Call, version: str, accuracy: str
) -> None:
    call("card", version, "--out", "card.html")
    page = (checkout / "card.html").read_text()
    before = told(checkout, f"card-{version}.html")
    assert accuracy in page
    for form in (r"\d[\d.,]*%", r"\b[0-9a-f]{32,}\b"):  # shares and hashes
        assert Counter(re.findall(form, before)) <= Counter(re.findall(form, page))


def test_the_verdicts_of_the_gate_that_are_kept_with_versions_can_be_read(checkout: Path) -> None:
    artifacts = checkout / ".state" / "mlflow" / "artifacts" / NAME
    judged, of_events = [], set()
    for path in sorted(artifacts.glob("*/artifacts/gate/*.json"), key=lambda path: path.name):
        kept = json.loads(path.read_text())
        of_events.add(kept.pop("event"))
        verdict = Verdict.from_dict(kept)
        assert of_old(kept, verdict.as_dict()) == kept
        judged.append((verdict.version, verdict.against, verdict.passed))
    assert judged == [
        (1, None, True),
        (2, 1, False),
        (2, 1, False),
        (3, 1, True),  # when it was asked for, and when that was approved
        (3, 1, True),
        (1, 3, True),
    ]
    before = events(told(checkout, "history.jsonl"))
    assert of_events == {one["id"] for one in before if one["evidence"]}


@pytest.mark.parametrize(
    ("version", "day", "batch"),
    [
        ("production", "monday", "monday"),
        ("candidate", "tuesday", "tuesday"),
        ("2", "monday", "monday-2"),
    ],
)
def test_a_version_says_the_same_of_a_batch_and_knows_it_again(
    checkout: Path, call: Call, version: str, day: str, batch: str
) -> None:
    folder = f"data/arrived/{day}"
    said = call("predict", folder, "--out", "new.parquet", "--version", version).stdout
    assert counts(said) == counts(told(checkout, f"{batch}.txt"))
    assert sum(counts(said).values()) == 24
    new = pd.read_parquet(checkout / "new.parquet")
    old = pd.read_parquet(checkout / "told" / f"{batch}.parquet")
    was = {f"p{k}": f"p_{label}" for k, label in enumerate(counts(said))}
    renamed = [was.get(column, column) for column in old.columns]
    assert list(new.columns) == [*renamed, "precision"]
    assert set(new["precision"]) == {"float32"}  # it was compared with no other
    for column in ("path", "label", "predicted", "model", "version"):
        assert list(new[column]) == list(old[column])
    np.testing.assert_allclose(new[list(was.values())], old[list(was)], atol=1e-4)
    assert f"{old['time'][0]:%Y-%m-%d %H:%M:%S}" in said  # when it was recorded
    assert runs(checkout, f"{NAME}-batches") == 3


def test_the_monitor_finds_both_batches_of_production_and_the_report_on_them(
    checkout: Path, call: Call
) -> None:
    said = call("monitor").stdout
    before = told(checkout, "monitor.txt")
    assert "48 images" in said
    numbers = r"(?:\d+\.\d+%?|runs/\w{32})"
    assert re.findall(numbers, said) == re.findall(numbers, before)
    assert runs(checkout, f"{NAME}-monitoring") == 1


def test_a_rollback_goes_to_the_version_that_was_in_production_before(
    checkout: Path, call: Call
) -> None:
    call("rollback", "--reason", "the old one was good enough")
    assert production(call) == [1, 2, 1, 3, 1]
    *_, last, new = events(call("history", "--json").stdout)
    assert (new["index"], new["previous"]) == (7, last["hash"])
    assert last["state"] == "approved"  # it asked for this version


def test_a_request_that_is_open_can_be_approved(checkout: Path, call: Call) -> None:
    call("approve", "1", "--reason", "it is")
    assert production(call) == [1, 2, 1, 3, 1]
    *_, asked, answer = events(call("history", "--json").stdout)
    assert (answer["request"], answer["evidence"]) == (asked["id"], asked["evidence"])
    assert asked["state"] == "approved"


def test_the_gate_compares_a_version_with_the_one_in_production_and_counts_on(call: Call) -> None:
    call("promote", "2", "--reason", "once more", code=1)
    event = events(call("history", "--json").stdout)[-1]
    assert (event["action"], event["version"]) == ("refuse", 2)
    evidence = event["evidence"]
    assert (evidence["against"], evidence["uses"]) == (3, 6)
    assert evidence["comparison"]["challenger"] == 0.13
    assert evidence["comparison"]["production"] == 0.996
