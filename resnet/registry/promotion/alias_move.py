"""Move aliases so that neither a crash nor a second process leaves them unknown to the ledger.

The order is: the intent in the ledger, the versions checked, the aliases read again, the event
marked as checked, `candidate` written, `production` written, both read back, the verdict stored
with the version, the event finished, the model cards rendered. MLflow has no compare-and-swap; the
lock replaces it among the processes that move aliases in this way, and is confirmed before each
write.

So if a process was killed, an event that is not marked as checked has written no alias; one that is
has happened if each alias names the version that it should; and otherwise at most `candidate` was
written, for production is the last. Recovery never moves production.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from resnet.errors import MovedError, PipelineError
from resnet.registry import store, versions
from resnet.registry.card import card
from resnet.registry.gate.verdict import Verdict
from resnet.registry.ledger import audit, ledger, queries
from resnet.registry.ledger.event import Event
from resnet.registry.ledger.lock import ModelLock, holding
from resnet.registry.store import Client
from resnet.registry.versions import PRODUCTION, Version

Check = Callable[[Path, Client, Version], None]
"""(root, client, version) → nothing; raises PipelineError if no alias may name the version."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldModel:
    """A registered model whose lock this process holds, and its ledger, read under the lock."""

    lock: ModelLock
    history: Sequence[Event]  # of the ledger; none is unfinished
    missing: str | None = None  # see `Ledger.missing`

    @property
    def client(self) -> Client:
        return self.lock.client


@contextlib.contextmanager
def exclusive_move(root: Path, name: str, who: str, reason: str) -> Iterator[HeldModel]:
    """In the block only `who` moves the aliases of `name`, which match the ledger.

    What killed processes have left is recovered, with a warning in the log. Raises PipelineError if
    the reason is empty, another process holds the lock for too long, the ledger is broken, or an
    alias was changed outside of it.
    """
    require_reason(reason)
    with holding(store.client(root), name, who) as lock:
        held, lines = recover(lock)
        for line in lines:
            log.warning("%s: recovered after a crash: %s", name, line)
        mismatch = audit.alias_mismatch(held.client, name, held.history)
        if mismatch:
            raise PipelineError(
                f"{name}: {mismatch}. 'resnet reconcile' restores what the ledger says, "
                "'resnet reconcile --accept --reason …' records the change"
            )
        yield held


def require_reason(reason: str) -> None:
    """Raise PipelineError if the reason is empty."""
    if not reason.strip():
        raise PipelineError("the reason must not be empty: give one with --reason")


def apply_alias_move(root: Path, held: HeldModel, event: Event, check: Check) -> Event:
    """Do what `event` says and write it into the ledger. Returns the event in the chain.

    A version that an alias will name is checked first. Until the first alias is written every error
    abandons the event; after that the next holder of the lock recovers it. Raises PipelineError if
    a version fails its check, the lock was lost, or an alias does not name what was written, and
    MovedError if an alias was changed in the meantime.
    """
    client, lock = held.client, held.lock
    event = ledger.begin(client, replace(event, model_hashes=_model_hashes(held, event)))
    try:
        for number in sorted({after for _, after in event.moves.values() if after is not None}):
            check(root, client, versions.resolve(client, event.model, number))
            _require_same(event, versions.resolve(client, event.model, number))
        lock.confirm()
        _require_aliases(client, event, side=1 if _is_found(event) else 0)
        ledger.mark_checked(client, event)
    except BaseException as error:
        # If it cannot be abandoned, or is not ours any more, the next holder recovers it.
        with contextlib.suppress(PipelineError, *store.UNAVAILABLE):
            lock.confirm()
            ledger.abandon(client, event, str(error) or type(error).__name__)
        raise
    for alias, (_, after) in _to_write(event):
        lock.confirm()
        set_alias(client, event.model, alias, after)
    _require_aliases(client, event, side=1)
    lock.confirm()
    return _close(client, event, held.history)


def recover(lock: ModelLock, accept_missing: bool = False) -> tuple[HeldModel, list[str]]:
    """Complete or undo what killed processes have left; one line about each.

    Nobody works on an unfinished event, as this process holds the lock. Raises PipelineError if the
    ledger is broken or, unless `accept_missing`, lacks events that this checkout knows of.
    """
    client, name, lines = lock.client, lock.name, []
    current = ledger.read_intact(client, name, accept_missing=accept_missing)
    lock.confirm()
    ledger.close_last(client, current)
    history = current.events
    for event in current.unfinished:
        lock.confirm()
        checked = ledger.is_checked(client, event)
        if checked and _has_happened(client, event):
            history = [*history, _close(client, event, history)]
            lines.append(f"completed: {event}")
            continue
        if checked:
            _undo(client, event)
        ledger.abandon(client, event, "its process ended before the aliases were moved")
        production = _number(client, name, PRODUCTION) or "none"
        lines.append(f"undone: {event}; production stays at {production}")
    return HeldModel(lock, history, current.missing), lines


def set_alias(client: Client, name: str, alias: str, number: int | None) -> None:
    """Let `alias` name that version, or none."""
    if number is None:
        client.delete_registered_model_alias(name, alias)
    else:
        client.set_registered_model_alias(name, alias, str(number))


def _close(client: Client, event: Event, history: Sequence[Event]) -> Event:
    """Finish the event, which follows those of `history`.

    The gate's verdict is stored before, or a crash could lose it. The model cards are rendered
    after, as they tell what has happened.
    """
    if event.evidence:
        Verdict.from_dict(event.evidence).log(client, event.id)
    finished = ledger.finish(client, event)
    card.renew_cards(client, finished, [*history, finished])
    return finished


def _model_hashes(held: HeldModel, event: Event) -> dict[str, str]:
    """The model hash of each version that `event` names, by its number.

    Of the registered ones, and what the ledger knows of those that are deleted by now. Of a found
    change the former versions are the ledger's: their numbers may have been given again.
    """
    last = len(held.history) - 1
    left = {before for before, _ in event.moves.values()} if _is_found(event) else set()
    left -= {event.version, *(after for _, after in event.moves.values())}
    hashes = {}
    for number in sorted(event.versions):
        version = versions.get(held.client, event.model, number)
        known = queries.identity(held.history, last, number).model_hash
        sources = [version.model_hash if version else None, known]
        ordered = reversed(sources) if number in left else sources
        hashes[str(number)] = next((text for text in ordered if text is not None), None)
    return {number: text for number, text in hashes.items() if text is not None}


def _require_same(event: Event, version: Version) -> None:
    """Raise MovedError if the version is another model than it was when the event was begun."""
    if not version.id.is_same(event.id_of(version.number)):
        raise MovedError(
            f"{event}: {event.model} has version {version.id} now and not "
            f"{event.id_of(version.number)}: it was deleted, and its number was given again; ask "
            "the gate again"
        )


def _has_happened(client: Client, event: Event) -> bool:
    """Whether each alias names the version that `event` gives it, and its version exists."""
    if event.version is not None:
        version = versions.get(client, event.model, event.version)
        if version is None or not version.id.is_same(event.id_of(event.version)):
            return False
    return all(
        _number(client, event.model, alias) == after for alias, (_, after) in event.moves.items()
    )


def _undo(client: Client, event: Event) -> None:
    """Restore the aliases that were written before production."""
    for alias, (before, after) in _to_write(event):
        if alias != PRODUCTION and _number(client, event.model, alias) == after:
            deleted = before is None or versions.get(client, event.model, before) is None
            set_alias(client, event.model, alias, None if deleted else before)


def _require_aliases(client: Client, event: Event, side: int) -> None:
    """Raise MovedError unless each alias is on that side of its move: 0 before, 1 after."""
    for alias, move in event.moves.items():
        number = _number(client, event.model, alias)
        if number != move[side]:
            raise MovedError(
                f"{event}: {alias} names version {number or 'none'} and not "
                f"{move[side] or 'none'}: it was changed outside the ledger; see 'resnet history'"
            )


def _to_write(event: Event) -> list[tuple[str, tuple[int | None, int | None]]]:
    """The moves in the order of writing: production last. A found change was written already."""
    moves = [] if _is_found(event) else event.moves.items()
    return sorted(moves, key=lambda move: move[0] == PRODUCTION)


def _is_found(event: Event) -> bool:
    return event.action == "found"


def _number(client: Client, name: str, alias: str) -> int | None:
    """The number of the version that `alias` names."""
    version = versions.with_alias(client, name, alias)
    return version.number if version else None
