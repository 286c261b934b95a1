"""Make the ledger and the aliases agree again, after a crash or a change in MLflow's UI."""

from dataclasses import replace
from pathlib import Path

from resnet.errors import PipelineError
from resnet.registry import store, versions
from resnet.registry.ledger import audit
from resnet.registry.ledger.audit import AliasMismatch
from resnet.registry.ledger.event import Event
from resnet.registry.ledger.lock import holding
from resnet.registry.promotion import alias_move
from resnet.registry.promotion.smoke_test import require_working
from resnet.registry.store import Client
from resnet.registry.versions import CANDIDATE, PRODUCTION
from resnet.system import processes


def reconcile(
    root: Path,
    name: str,
    *,
    accept: bool = False,
    reason: str = "",
    flow_run: str | None = None,
    check: alias_move.Check = require_working,
) -> list[str]:
    """Recover what killed processes have left, then undo a change outside the ledger.

    With `accept` such a change is recorded instead, and so is that the ledger lacks events that
    this checkout knows of; that needs a reason. Returns one line about each. Raises PipelineError
    if the ledger is broken, or a version that an alias will name fails its check.
    """
    if accept:
        alias_move.require_reason(reason)
    client, who = store.client(root), processes.actor()
    with holding(client, name, who) as lock:
        held, lines = alias_move.recover(lock, accept_missing=accept)
        if held.missing:
            event = _missing_event(name, held.missing, who, reason, flow_run)
            event = alias_move.apply_alias_move(root, held, event, check)
            held = replace(held, history=[*held.history, event], missing=None)
            lines.append(f"recorded: {event}")
        mismatch = audit.alias_mismatch(client, name, held.history)
        if mismatch:
            make = _found_event if accept else _restore_event
            try:
                event = make(client, mismatch, who, reason, flow_run)
                event = alias_move.apply_alias_move(root, held, event, check)
            except PipelineError as error:  # with what was recovered before
                raise type(error)("\n".join([*lines, str(error)])) from error
            lines.append(f"{'recorded' if accept else 'restored'}: {event}")
    return lines


def _found_event(
    client: Client, mismatch: AliasMismatch, who: str, reason: str, flow_run: str | None
) -> Event:
    """The change that somebody made, as an event."""
    moves = mismatch.moves()
    return Event(
        "found",
        mismatch.name,
        _about({alias: actual for alias, (_, actual) in moves.items()}),
        moves,
        who=f"unknown (found by {who})",
        reason=reason,
        flow_run=flow_run,
    )


def _missing_event(name: str, missing: str, who: str, reason: str, flow_run: str | None) -> Event:
    """That the ledger goes on without events, as an event; nothing moves."""
    lacks = missing.partition(".")[0]
    who = f"unknown (found by {who})"
    return Event("found", name, None, {}, who=who, reason=f"{reason} ({lacks})", flow_run=flow_run)


def _restore_event(
    client: Client, mismatch: AliasMismatch, who: str, reason: str, flow_run: str | None
) -> Event:
    """The move back to what the ledger says."""
    if mismatch.aliases.get(PRODUCTION, (0, 0))[0] is None:
        raise _not_restorable(mismatch, "The ledger has no version to restore")
    for expected, _ in mismatch.aliases.values():
        version = versions.get(client, mismatch.name, expected.number) if expected else None
        if expected and not (version and version.id.is_same(expected)):
            raise _not_restorable(mismatch, f"Version {expected} is deleted")
    moves = mismatch.moves()
    return Event(
        "restore",
        mismatch.name,
        _about({alias: expected for alias, (expected, _) in moves.items()}),
        {alias: (actual, expected) for alias, (expected, actual) in moves.items()},
        who=who,
        reason=reason.strip() or "it was changed outside the ledger",
        flow_run=flow_run,
    )


def _not_restorable(mismatch: AliasMismatch, why: str) -> PipelineError:
    return PipelineError(
        f"{mismatch.name}: {mismatch}. {why}: record the change with 'resnet reconcile --accept "
        "--reason …'"
    )


def _about(numbers: dict[str, int | None]) -> int | None:
    """Which version a move of these aliases is about: production's, if it is among them."""
    return numbers[PRODUCTION if PRODUCTION in numbers else CANDIDATE]
