"""A ledger with many events, written into the SQLite file at once: by MLflow it takes minutes."""

import sqlite3
import uuid
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from resnet.registry import store
from resnet.registry.ledger import ledger
from resnet.registry.ledger.event import from_iso, milliseconds, utc_iso


def lengthen(root: Path, name: str, count: int) -> None:
    """Add `count` refusals to the ledger of `name`, with the evidence of its first event.

    As another host would have written them: nothing of this is kept in the checkout.
    """
    client = store.client(root)
    events = ledger.events(client, name)
    last = events[-1]
    experiment = store.experiment(client, f"{name}-ledger")
    runs, tags = [], []
    for _ in range(count):
        assert last.index is not None
        last = replace(
            events[0],
            action="refuse",
            moves={},
            id=uuid.uuid4().hex,
            time=utc_iso(from_iso(last.time) + timedelta(milliseconds=1)),
            index=last.index + 1,
            previous=last.hash,
        )
        last = replace(last, hash=last.digest())
        start = milliseconds(from_iso(last.time))
        runs.append((last.id, last.action, "FINISHED", start, start, experiment))
        tags += [(key, value, last.id) for key, value in last.tags().items()]
    database = root / ".state" / "mlflow" / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(
            "INSERT INTO runs (run_uuid, name, status, start_time, end_time, experiment_id,"
            " user_id, source_type, lifecycle_stage)"
            " VALUES (?, ?, ?, ?, ?, ?, 'ann', 'UNKNOWN', 'active')",
            runs,
        )
        connection.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", tags)
    client.set_experiment_tag(experiment, "head", last.head)
