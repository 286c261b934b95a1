"""Move aliases so that no crash and no second mover leaves them where the ledger does not know.

The order is: the intent in the ledger, the versions checked, the aliases read once more, the event
checked off, `candidate` written, `production` written, both read back, the verdict kept with the
version, the event finished, the model card drawn. MLflow has no compare-and-swap; the lock stands
in for it among those who move aliases in this way, and is confirmed before each write.

So of what a killed process left, an event that was not checked off has written no alias; one that
was has happened if each alias is where it says; and of any other at most `candidate` was written,
for production is the last. Nothing moves production to tidy up.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from resnet.errors import MovedError, PipelineError
from resnet.registry import store, versions
from resnet.registry.card import card
from resnet.registry.gate.verdict import Verdict
from resnet.registry.ledger import audit, ledger, lock
from resnet.registry.ledger.event import Event
from resnet.registry.ledger.lock import Lock
from resnet.registry.store import Client
from resnet.registry.versions import PRODUCTION, Version

Check = Callable[[Path, Client, Version], None]
"""(root, client, version) → nothing; raises PipelineError where no alias may come to name it."""

log = logging.getLogger(__name__)


@contextlib.contextmanager
def moving(root: Path, name: str, who: str, reason: str) -> Iterator[Lock]:
    """In the block `who` alone moves the aliases of `name`, which are where the ledger says.

    What killed movers left is settled, and told as warnings of the log. Raises PipelineError where
    the reason is empty, another holds the lock for too long, the ledger is broken, or an alias was
    moved behind its back.
    """
    if not reason.strip():
        raise PipelineError("the reason is empty: say why with --reason, for those who come later")
    with lock.holding(store.client(root), name, who) as held:
        for line in settle(held):
            log.warning("%s: what a killed process left is %s", name, line)
        found = audit.stray(held.client, name)
        if found:
            raise PipelineError(
                f"{name}: {found}. 'resnet reconcile' puts back what the ledger says, "
                "'resnet reconcile --accept --reason …' records what was found"
            )
        yield held


def carry_out(root: Path, held: Lock, event: Event, check: Check) -> Event:
    """Do what `event` says, and write it into the ledger; the event in the chain.

    A version that an alias comes to name is checked first. Until the first alias is written every
    error closes the event as not done; from there on the next holder of the lock settles it.
    Raises PipelineError where a version does not work, the lock was lost, or an alias is not where
    it was written to, and MovedError where an alias was moved in the meantime.
    """
    client = held.client
    event = ledger.begin(client, event)
    try:
        for number in sorted({after for _, after in event.moves.values() if after is not None}):
            check(root, client, versions.resolve(client, event.model, number))
        held.confirm()
        _expect(client, event, side=1 if _is_found(event) else 0)
        ledger.check_off(client, event)
    except BaseException as error:
        # Where it cannot be closed, or is not ours any more, the next holder settles it.
        with contextlib.suppress(PipelineError, *store.UNAVAILABLE):
            held.confirm()
            ledger.abandon(client, event, str(error) or type(error).__name__)
        raise
    for alias, (_, after) in _to_write(event):
        held.confirm()
        point(client, event.model, alias, after)
    _expect(client, event, side=1)
    held.confirm()
    return _close(client, event)


def settle(held: Lock) -> list[str]:
    """Finish or undo what killed movers left; a line on each.

    Whoever holds the lock knows that nobody is at work on an event that is open. Raises
    PipelineError where the ledger is broken.
    """
    client, name, lines = held.client, held.name, []
    found = ledger.whole(client, name)
    held.confirm()
    ledger.close_last(client, found)
    for event in found.unfinished:
        held.confirm()
        checked = ledger.is_checked(client, event)
        if checked and _has_happened(client, event):
            _close(client, event)
            lines.append(f"finished: {event}")
            continue
        if checked:
            _undo(client, event)
        ledger.abandon(client, event, "its process ended before the aliases were moved")
        stays = _named(client, name, PRODUCTION) or "none"
        lines.append(f"undone: {event}; production stays at {stays}")
    return lines


def point(client: Client, name: str, alias: str, number: int | None) -> None:
    """Let `alias` name that version, or nothing."""
    if number is None:
        client.delete_registered_model_alias(name, alias)
    else:
        client.set_registered_model_alias(name, alias, str(number))


def _close(client: Client, event: Event) -> Event:
    """The gate's verdict is kept before the event is finished, or a crash could lose it.

    The model card tells of what has happened, so it is drawn after that.
    """
    if event.evidence:
        Verdict.from_dict(event.evidence).log(client, event.id)
    finished = ledger.finish(client, event)
    card.renew_cards(client, finished)
    return finished


def _has_happened(client: Client, event: Event) -> bool:
    """Whether each alias is where `event` puts it, and the version is still there."""
    return (
        event.version is None or versions.get(client, event.model, event.version) is not None
    ) and all(
        _named(client, event.model, alias) == after for alias, (_, after) in event.moves.items()
    )


def _undo(client: Client, event: Event) -> None:
    """Put back what was written before production."""
    for alias, (before, after) in _to_write(event):
        if alias != PRODUCTION and _named(client, event.model, alias) == after:
            gone = before is None or versions.get(client, event.model, before) is None
            point(client, event.model, alias, None if gone else before)


def _expect(client: Client, event: Event, side: int) -> None:
    """Raise MovedError unless each alias is on that side of its move: 0 before, 1 after."""
    for alias, move in event.moves.items():
        found = _named(client, event.model, alias)
        if found != move[side]:
            raise MovedError(
                f"{event}: {alias} names version {found or 'none'} and not {move[side] or 'none'}: "
                "somebody moved it without the ledger; look at 'resnet history'"
            )


def _to_write(event: Event) -> list[tuple[str, tuple[int | None, int | None]]]:
    """The moves as they are written: production last. What was found has moved before."""
    moves = [] if _is_found(event) else event.moves.items()
    return sorted(moves, key=lambda move: move[0] == PRODUCTION)


def _is_found(event: Event) -> bool:
    return event.action == "found"


def _named(client: Client, name: str, alias: str) -> int | None:
    found = versions.with_alias(client, name, alias)
    return found.number if found else None
