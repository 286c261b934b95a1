"""Who put which version into production, when and why: an event is an MLflow run.

An event's run is opened before the alias moves and finished after it; only finished ones count.
They stand in an experiment of their own, so that the registry's store carries its history and
MLflow's page shows it.
"""

import getpass
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from resnet.registry import store, versions

Action = Literal["promote", "rollback", "refuse"]


@dataclass(frozen=True)
class Event:
    """One decision about production."""

    id: str
    time: str  # ISO 8601, UTC
    action: Action
    version_from: int | None  # in production before
    version_to: int  # promoted or refused
    who: str
    reason: str
    forced: bool  # against the gate
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Any) -> Self:
        """From the MLflow run that keeps it."""
        tags = run.data.tags
        started = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
        return cls(
            id=run.info.run_id,
            time=started.isoformat(timespec="milliseconds"),
            action=tags["action"],
            version_from=int(tags["version_from"]) if tags["version_from"] else None,
            version_to=int(tags["version_to"]),
            who=tags["who"],
            reason=tags["reason"],
            forced=tags["forced"] == "true",
            evidence=json.loads(tags["evidence"]),
        )

    def __str__(self) -> str:
        before = f"from version {self.version_from} " if self.version_from else ""
        forced = ", forced" if self.forced else ""
        return (
            f"{self.time}  {self.action} {before}to version {self.version_to}{forced}, "
            f"by {self.who}: {self.reason}"
        )


def begin(
    client: Any,
    name: str,
    action: Action,
    version_from: int | None,
    version_to: int,
    *,
    who: str | None,
    reason: str,
    forced: bool = False,
    evidence: Mapping[str, Any] | None = None,
) -> str:
    """Write down what is about to happen; the event's id."""
    tags = {
        "model": name,
        "action": action,
        "version_from": str(version_from or ""),
        "version_to": str(version_to),
        "who": who or whoever(),
        "reason": reason,
        "forced": str(forced).lower(),
        "evidence": json.dumps(evidence or {}),
    }
    experiment = store.experiment(client, _experiment(name))
    run = client.create_run(experiment, tags=tags, run_name=f"{action}-{version_to}")
    return str(run.info.run_id)


def finish(client: Any, event: str) -> Event:
    """What was begun has happened."""
    client.set_terminated(event)
    return Event.of(client.get_run(event))


def settle(client: Any, name: str) -> None:
    """Close the events of processes that were killed: done where production says so, else not."""
    now = versions.with_alias(client, name, versions.PRODUCTION)
    for run in _runs(client, name, "RUNNING"):
        event = Event.of(run)
        happened = event.action == "refuse" or (now and now.number == event.version_to)
        client.set_terminated(event.id, "FINISHED" if happened else "FAILED")


def history(root: Path, name: str) -> list[Event]:
    """Every event of the registered model `name`, the oldest first."""
    return events(store.client(root), name)


def events(client: Any, name: str) -> list[Event]:
    return [Event.of(run) for run in _runs(client, name, "FINISHED")]


def in_production(history: Sequence[Event]) -> list[int]:
    """Versions as they came into production, those that were rolled back taken off again."""
    stack: list[int] = []
    for event in history:
        if event.action == "rollback" and event.version_to in stack:
            while stack[-1] != event.version_to:
                stack.pop()
        elif event.action != "refuse":
            stack.append(event.version_to)
    return stack


def as_json_lines(history: Sequence[Event]) -> str:
    return "\n".join(json.dumps(asdict(event)) for event in history)


def as_table(history: Sequence[Event]) -> str:
    """A line an event, under a heading."""
    if not history:
        return "nothing was ever promoted"
    rows = [("TIME (UTC)", "ACTION", "FROM", "TO", "WHO", "WHY")]
    for event in history:
        action = event.action + (" (forced)" if event.forced else "")
        before = str(event.version_from or "–")
        time = event.time[:19].replace("T", " ")
        rows.append((time, action, before, str(event.version_to), event.who, event.reason))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def whoever(flow_run: str | None = None) -> str:
    """user@host of this process, and the Prefect flow run that it works for."""
    person = f"{getpass.getuser()}@{socket.gethostname()}"
    return f"{person} (flow run {flow_run})" if flow_run else person


def _experiment(name: str) -> str:
    return f"{name}-ledger"


def _runs(client: Any, name: str, status: str) -> list[Any]:
    """The ledger's runs in order."""
    found = client.get_experiment_by_name(_experiment(name))
    if found is None:
        return []
    runs: list[Any] = []
    page = None
    while page is None or page.token:
        page = client.search_runs(
            [found.experiment_id],
            f"attributes.status = '{status}'",
            order_by=["attributes.start_time ASC"],
            page_token=page.token if page else None,
        )
        runs += page
    return runs
