"""A store with many versions and events: two of each by the project itself, the others as copies.

By MLflow a thousand of each take minutes, so copies are written into its SQLite file at once.
"""

import json
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from resnet import params
from resnet.evaluation.metrics import Metrics
from resnet.evaluation.records import Evaluation, Predictions
from resnet.registry import sqlite_file, store, unreferenced, versions
from resnet.registry.gate import gate
from resnet.registry.ledger import ledger
from resnet.registry.ledger.event import Event, from_iso, milliseconds, utc_iso
from resnet.registry.promotion import history, promotion
from resnet.registry.promotion.smoke_test import require_intact
from resnet.registry.store import Client
from resnet.registry.versions import Version
from resnet.system import files, mappings

from mlflow.entities import Param

HERE = Path(__file__).parents[1]
NAME = "cifar10-resnet"
IMAGES = 10_000
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MODEL_BYTES = 2_000_000
TEST_HASH = "7e57" * 16


@dataclass(frozen=True)
class GrownStore:
    """A checkout with a store of its own, in which `count` versions were promoted in turn."""

    root: Path
    count: int

    @contextmanager
    def unchanged(self) -> Iterator[Path]:
        """The checkout; what the block writes into its store is undone, except for artifacts."""
        kept, database = self.root / ".state" / "ledgers", sqlite_file.local(self.root)
        saved = sqlite3.connect(":memory:")
        with (
            closing(saved),
            closing(sqlite3.connect(database)) as live,
            tempfile.TemporaryDirectory() as folder,
        ):
            live.backup(saved)
            shutil.copytree(kept, folder, dirs_exist_ok=True)
            yield self.root
            saved.backup(live)
            shutil.rmtree(kept)
            shutil.copytree(folder, kept)


def grow(root: Path, count: int) -> GrownStore:
    """Fill the new checkout `root` with that many versions and events, two at least."""
    client = store.client(root)
    _register_and_promote(root, client)
    second = ledger.events(client, NAME)[-1]
    with closing(sqlite3.connect(sqlite_file.local(root))) as connection, connection:
        _copy_versions(connection, range(3, count + 1))
        last = _copy_events(connection, second, range(3, count + 1))
    client.set_experiment_tag(store.experiment(client, f"{NAME}-ledger"), "head", last.head)
    for alias in (versions.CANDIDATE, versions.PRODUCTION):
        client.set_registered_model_alias(NAME, alias, str(count))
    history.read(root, NAME)  # as after every command: what it has verified is kept
    return GrownStore(root, count)


def model_hash(number: int) -> str:
    """The model hash of the version with that number."""
    return f"{number:064x}"


def evaluation() -> Evaluation:
    """That of every version."""
    share = 0.89
    metrics = Metrics(
        accuracy=share,
        accuracy_low=share - 0.006,
        accuracy_high=share + 0.006,
        loss=0.34,
        top2=0.96,
        calibration_error=0.02,
        parameters=497_226,
        flops=59_000_000,
        size_bytes=MODEL_BYTES,
        latency_ms=2.3,
        throughput=2000.0,
        correct=round(share * IMAGES),
        images=IMAGES,
    )
    return Evaluation(metrics, model_hash(1), TEST_HASH)


def _register_and_promote(root: Path, client: Client) -> None:
    rules = params.load(HERE).gate
    client.create_registered_model(NAME)
    for number in (1, 2):
        _register(client, number)
        verdict = gate.judge(root, NAME, number, rules)
        decision = promotion.promote(root, verdict, reason="a benchmark", check=require_intact)
        assert decision.promoted, decision


def _register(client: Client, number: int) -> None:
    """A version as `publish` makes it, with the artifacts that a move and a card read."""
    values = params.load(HERE).model_dump(mode="json")
    experiment = store.experiment(client, NAME)
    tags = {f"version.package-{k}": "1.2.3" for k in range(20)}
    run = str(client.create_run(experiment, tags=tags).info.run_id)
    flat = [Param(key, str(value)) for key, value in mappings.flatten(values).items()]
    client.log_batch(run, params=flat)
    store.log_metrics(client, run, evaluation().metrics.by_name())
    with tempfile.TemporaryDirectory() as folder:
        model = _write_artifacts(client, run, Path(folder))
    client.set_terminated(run)
    hashes = {
        "model_hash": model_hash(number),
        "file_hash": model,
        "evaluation_hash": evaluation().hash,
        "test_hash": TEST_HASH,
        "data_hash": "da7a" * 8,
        "params_hash": "9a7a" * 16,
        "git_commit": "c0" * 20,
        "git_dirty": "false",
    }
    created = client.create_model_version(NAME, f"runs:/{run}/model.keras", run, tags=hashes)
    unreferenced.record_needed(client, Version.of(created))


def _write_artifacts(client: Client, run: str, folder: Path) -> str:
    """Log what `publish` logs, as far as it is read again; the digest of the model's file."""
    random = np.random.default_rng(0)
    model = folder / versions.MODEL_FILE
    model.write_bytes(random.bytes(MODEL_BYTES))
    client.log_artifact(run, str(model))
    evaluation().write(folder / "metrics.json")
    _predictions().write(folder / "predictions.parquet")
    for name in ("metrics.json", "predictions.parquet"):
        client.log_artifact(run, str(folder / name), "evaluation")
    client.log_dict(run, {"classes": CLASSES}, versions.PROFILE_FILE)
    client.log_text(run, "a probe", versions.PROBE_FILE)
    outs = [{"path": f"out/{k}", "md5": f"{k:032x}"} for k in range(12)]
    lock = {"schema": "2.0", "stages": {"train": {"outs": outs}}}
    client.log_text(run, json.dumps(lock), "recipe/dvc.lock")  # JSON is YAML
    return files.digest(model)


def _predictions() -> Predictions:
    labels_n = (np.arange(IMAGES) % len(CLASSES)).astype(np.uint8)
    correct_n = np.arange(IMAGES) < evaluation().metrics.correct
    shown_n = np.where(correct_n, labels_n, (labels_n + 1) % len(CLASSES))
    probabilities_nk = np.full((IMAGES, len(CLASSES)), 0.01, np.float32)
    probabilities_nk[np.arange(IMAGES), shown_n] = 0.91
    return Predictions(labels_n, probabilities_nk)


def _copy_versions(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Copies of version 2 and of its run, whose artifacts they share."""
    (run,) = connection.execute(
        "SELECT run_id FROM model_versions WHERE name = ? AND version = 2", (NAME,)
    ).fetchone()
    runs = {number: uuid.uuid4().hex for number in numbers}
    for table in ("runs", "params", "tags", "latest_metrics", "metrics"):
        rows = _rows(connection, table, "run_uuid = ?", run)
        copies = [{**row, "run_uuid": new} for new in runs.values() for row in rows]
        _insert(connection, table, copies)
    of_version = "name = ? AND version = 2"
    rows = _rows(connection, "model_versions", of_version, NAME)
    _insert(
        connection,
        "model_versions",
        [{**row, "version": n, "run_id": runs[n]} for n in numbers for row in rows],
    )
    tags = _rows(connection, "model_version_tags", of_version, NAME)
    copies = [{**tag, "version": n} for n in numbers for tag in tags]
    for copy in copies:
        if copy["key"] == "model_hash":
            copy["value"] = model_hash(copy["version"])
    _insert(connection, "model_version_tags", copies)


def _copy_events(connection: sqlite3.Connection, last: Event, numbers: Sequence[int]) -> Event:
    """Promotions of the versions in turn, with the evidence of `last`, which they follow.

    Returns the last of them.
    """
    (run,) = _rows(connection, "runs", "run_uuid = ?", last.id)
    runs, tags = [], []
    for number in numbers:
        last = _next(last, number)
        start = milliseconds(from_iso(last.time))
        runs.append({**run, "run_uuid": last.id, "start_time": start, "end_time": start})
        tags += [
            {"key": key, "value": value, "run_uuid": last.id} for key, value in last.tags().items()
        ]
    _insert(connection, "runs", runs)
    _insert(connection, "tags", tags)
    return last


def _next(last: Event, number: int) -> Event:
    """The promotion of a version by the event after `last`, which promoted the one before it."""
    assert last.index is not None
    hashes = {str(n): model_hash(n) for n in (number - 1, number)}
    about = {"version": number, "against": number - 1, "model_hash": model_hash(number)}
    event = replace(
        last,
        version=number,
        moves=dict.fromkeys(last.moves, (number - 1, number)),
        evidence={**last.evidence, **about, "uses": number},
        model_hashes=hashes,
        id=uuid.uuid4().hex,
        time=utc_iso(from_iso(last.time) + timedelta(milliseconds=1)),
        index=last.index + 1,
        previous=last.hash,
    )
    return replace(event, hash=event.digest())


def _rows(
    connection: sqlite3.Connection, table: str, where: str, value: str
) -> list[dict[str, Any]]:
    cursor = connection.execute(f"SELECT * FROM {table} WHERE {where}", (value,))  # noqa: S608
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    names, marks = ", ".join(rows[0]), ", ".join("?" * len(rows[0]))
    connection.executemany(
        f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608
        [tuple(row.values()) for row in rows],
    )
