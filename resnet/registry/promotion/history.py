"""The ledger for a reader: a table, JSON lines, and what is wrong with it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from resnet.pages.text_table import aligned
from resnet.registry import store
from resnet.registry.ledger import audit, ledger, queries
from resnet.registry.ledger.event import Event
from resnet.registry.promotion.request import Request, requests

HEADING = ("#", "TIME (UTC)", "ACTION", "VERSION", "PRODUCTION", "WHO", "WHY")


def read(root: Path, name: str) -> tuple[list[Event], list[str]]:
    """Every event of the registered model `name` in order, and what is wrong, in words."""
    client = store.client(root)
    return ledger.events(client, name), audit.problems(client, name)


def problems(root: Path, name: str) -> list[str]:
    """What is wrong with the ledgers in the store, and with that of the registered model `name`."""
    client = store.client(root)
    names = sorted({name, *ledger.models(client)})
    return [f"{one}: {problem}" for one in names for problem in audit.problems(client, one)]


def as_json_lines(history: Sequence[Event], now: datetime) -> str:
    """A line an event; that of a request says as `state` how it stands at `now`."""
    derived = {one.event.id: {"state": one.state} for one in requests(history, now)}
    return "\n".join(event.as_json(**derived.get(event.id, {})) for event in history)


def as_table(history: Sequence[Event], now: datetime) -> str:
    """A line an event, under a heading; then what waits at `now`, and the commands to answer it."""
    if not history:
        return "nothing was ever promoted"
    asked = {one.event.id: one for one in requests(history, now)}
    lines = aligned([HEADING, *(_row(event, asked) for event in history)])
    for request in asked.values():
        if request.waits:
            lines += ["", str(request), *(f"  {command}" for command in request.commands())]
    return "\n".join(lines)


def _row(event: Event, asked: Mapping[str, Request]) -> tuple[str, ...]:
    before, after = event.version_from or "–", event.version_to or "–"
    mark = asked[event.id].state if event.id in asked else "forced" if event.forced else ""
    why = [event.reason]
    if event.request and event.request in asked:
        why.append(f"(to request {asked[event.request].event.index})")
    if event.flow_run:
        why.append(f"(flow run {event.flow_run})")
    return (
        str(event.index),
        event.time[:19].replace("T", " "),
        event.action + (f" ({mark})" if mark else ""),
        str(event.version or "–"),
        f"{before} → {after}" if queries.last_move([event]) else "",
        *(" ".join(text.split()) for text in (event.who, " ".join(why))),  # on one line
    )
