"""The ledger for a reader: a table, JSON lines, and what is wrong with it."""

from collections.abc import Sequence
from pathlib import Path

from resnet.registry import ledger, reconcile, store
from resnet.registry.event import Event

HEADING = ("#", "TIME (UTC)", "ACTION", "VERSION", "PRODUCTION", "WHO", "WHY")


def read(root: Path, name: str) -> tuple[list[Event], list[str]]:
    """Every event of the registered model `name` in order, and what is wrong, in words."""
    client = store.client(root)
    return ledger.events(client, name), reconcile.audit(client, name)


def problems(root: Path, name: str) -> list[str]:
    """What is wrong with the ledgers in the store, and with that of the registered model `name`."""
    client = store.client(root)
    names = sorted({name, *ledger.models(client)})
    return [f"{one}: {problem}" for one in names for problem in reconcile.audit(client, one)]


def as_json_lines(history: Sequence[Event]) -> str:
    return "\n".join(event.as_json() for event in history)


def as_table(history: Sequence[Event]) -> str:
    """A line an event, under a heading."""
    if not history:
        return "nothing was ever promoted"
    rows = [HEADING, *map(_row, history)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _row(event: Event) -> tuple[str, ...]:
    before, after = event.version_from or "–", event.version_to or "–"
    return (
        str(event.index),
        event.time[:19].replace("T", " "),
        event.action + (" (forced)" if event.forced else ""),
        str(event.version or "–"),
        f"{before} → {after}" if ledger.last_move([event]) else "",
        event.who,
        event.reason + (f" (flow run {event.flow_run})" if event.flow_run else ""),
    )
