"""The ledger for a reader: a table, JSON lines, and its problems."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from resnet.checkout import project
from resnet.pages.text_table import aligned, with_omission
from resnet.registry import store
from resnet.registry.ledger import audit, known_head, ledger
from resnet.registry.ledger.event import Event, second
from resnet.registry.ledger.verified_events import WholeCheck
from resnet.registry.promotion.request import Request, requests
from resnet.registry.versions import PRODUCTION

HEADING = ("#", "TIME (UTC)", "ACTION", "VERSION", "PRODUCTION", "WHO", "WHY")


def read(root: Path, name: str, *, verify: bool = False) -> tuple[list[Event], list[str]]:
    """Every event of the registered model `name` in order, and the problems, in words.

    `verify` reads the whole chain in the store, which is done once per day in any case.
    """
    return audit.examine(store.client(root), name, whole=verify)


def last_check(root: Path, name: str) -> str | None:
    """When this checkout last read the whole chain of `name`, in words; None if it never did."""
    check = WholeCheck.read(store.client(root), name)
    return f"the whole chain was intact at {check} (--verify reads it now)" if check else None


def problems(root: Path, name: str) -> list[str]:
    """The problems of all ledgers in the store, and of that of the registered model `name`.

    The chains are read as a whole. A SQLite file that is missing is not created.
    """
    if not store.exists(root):
        known = known_head.models(store.tracking_uri(root), project.state(root))
        return [
            f"{model}: its store is missing, but this checkout knows events of its ledger: restore "
            "the file; after the next command there is a new, empty one"
            for model in sorted(known)
        ]
    client = store.client(root)
    models = sorted({name, *ledger.models(client)})
    return [
        f"{model}: {problem}"
        for model in models
        for problem in audit.examine(client, model, whole=True)[1]
    ]


def as_json_lines(history: Sequence[Event], now: datetime, last: int | None = None) -> str:
    """One line per event, or per one of the `last`; a request's has its `state` at `now`."""
    derived = {request.event.id: {"state": request.state} for request in requests(history, now)}
    return "\n".join(
        event.as_json(**derived.get(event.id, {})) for event in history[-(last or 0) :]
    )


def as_table(history: Sequence[Event], now: datetime, last: int | None = None) -> str:
    """One row per event, or per one of the `last`, and how many are before these.

    Then the requests that are open at `now`, whenever they were made, with the commands to answer.
    """
    if not history:
        return "no promotions yet"
    by_event = {request.event.id: request for request in requests(history, now)}
    shown = history[-(last or 0) :]  # [-0:] is all
    lines = aligned([HEADING, *(_row(event, by_event) for event in shown)])
    if earlier := len(history) - len(shown):
        lines = with_omission(lines, f"{earlier:,} earlier event{'s' if earlier > 1 else ''}")
    for request in by_event.values():
        if request.is_open:
            lines += ["", str(request), *(f"  {command}" for command in request.commands())]
    return "\n".join(lines)


def _row(event: Event, by_event: Mapping[str, Request]) -> tuple[str, ...]:
    before, after = event.version_from or "–", event.version_to or "–"
    mark = by_event[event.id].state if event.id in by_event else "forced" if event.forced else ""
    why = [event.reason]
    if event.request and event.request in by_event:
        why.append(f"(to request {by_event[event.request].event.index})")
    if event.flow_run:
        why.append(f"(flow run {event.flow_run})")
    return (
        str(event.index),
        second(event.time),
        event.action + (f" ({mark})" if mark else ""),
        str(event.version or "–"),
        f"{before} → {after}" if PRODUCTION in event.moves else "",
        *(" ".join(text.split()) for text in (event.who, " ".join(why))),  # on one line
    )
