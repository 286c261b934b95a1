"""Move aliases so that no crash and no second mover leaves them where the ledger does not know.

The order is: the intent in the ledger, the version checked, the lock confirmed, the aliases read
once more, `candidate` written, `production` written, both read back, the event finished. MLflow has
no compare-and-swap; the lock stands in for it among those who move aliases in this way.

Production is written last: an intent that a killed process left has happened if production names
its target, and has not if it does not.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resnet.errors import MovedError
from resnet.registry import ledger, store, versions
from resnet.registry.event import Event
from resnet.registry.lock import Lock
from resnet.registry.versions import PRODUCTION, Version

Check = Callable[[Path, Any, Version], None]
"""Raises PipelineError where a version (of a checkout's root, by a client) does not work."""


def carry_out(root: Path, lock: Lock, event: Event, check: Check) -> Event:
    """Do what `event` says, and write it into the ledger; the event in the chain.

    A version that comes into production is checked first. Until the first alias is written every
    error closes the event as not done; from there on the next holder of the lock settles it.
    Raises PipelineError where the version does not work, the lock was lost, or an alias is not
    where it was written to, and MovedError where an alias was moved in the meantime.
    """
    client = lock.client
    event = ledger.begin(client, event)
    try:
        if event.version_to is not None:
            check(root, client, versions.resolve(client, event.model, event.version_to))
        lock.confirm()
        _expect(client, event, side=0)
    except BaseException as error:
        with contextlib.suppress(*store.UNAVAILABLE):  # then it stays open, and is settled
            ledger.abandon(client, event, str(error) or type(error).__name__)
        raise
    for alias, (_, after) in _in_order(event):
        point(client, event.model, alias, after)
    _expect(client, event, side=1)
    lock.confirm()
    return ledger.finish(client, event)


def settle(lock: Lock, name: str) -> list[str]:
    """Finish or undo what killed movers of `name` left; a line on each.

    Whoever holds the lock knows that nobody is at work on an event that is open. What is finished
    here was checked by its mover: production is not written before.
    """
    client, lines = lock.client, []
    for event in ledger.unfinished(client, name):
        last = _in_order(event)[-1:]  # an event that moves nothing has happened as it was begun
        if all(_named(client, name, alias) == after for alias, (_, after) in last):
            ledger.finish(client, event)
            lines.append(f"finished: {event}")
            continue
        for alias, (before, after) in event.moves.items():
            if _named(client, name, alias) == after:
                point(client, name, alias, before)
        ledger.abandon(client, event, "its process ended before the aliases were moved")
        stays = _named(client, name, PRODUCTION) or "none"
        lines.append(f"undone: {event}; production stays at {stays}")
    return lines


def point(client: Any, name: str, alias: str, number: int | None) -> None:
    """Let `alias` name that version, or nothing."""
    if number is None:
        client.delete_registered_model_alias(name, alias)
    else:
        client.set_registered_model_alias(name, alias, str(number))


def _expect(client: Any, event: Event, side: int) -> None:
    """Raise MovedError unless each alias is on that side of its move: 0 before, 1 after."""
    for alias, move in event.moves.items():
        found = _named(client, event.model, alias)
        if found != move[side]:
            raise MovedError(
                f"{event}: {alias} names version {found or 'none'} and not {move[side] or 'none'}: "
                "somebody moved it without the ledger; look at 'resnet history'"
            )


def _in_order(event: Event) -> list[tuple[str, tuple[int | None, int | None]]]:
    """The moves as they are written: production last."""
    return sorted(event.moves.items(), key=lambda move: move[0] == PRODUCTION)


def _named(client: Any, name: str, alias: str) -> int | None:
    found = versions.with_alias(client, name, alias)
    return found.number if found else None
