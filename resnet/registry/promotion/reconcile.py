"""Bring the ledger and the aliases back to one word, after a crash or a hand in MLflow's page."""

from pathlib import Path

from resnet.errors import PipelineError
from resnet.registry import store
from resnet.registry.ledger import audit, lock
from resnet.registry.ledger.audit import Stray
from resnet.registry.ledger.event import Event
from resnet.registry.promotion import alias_move
from resnet.registry.promotion.smoke_test import must_work
from resnet.registry.versions import CANDIDATE, PRODUCTION
from resnet.system import processes


def reconcile(
    root: Path,
    name: str,
    *,
    accept: bool = False,
    reason: str = "",
    flow_run: str | None = None,
    check: alias_move.Check = must_work,
) -> list[str]:
    """Settle what killed movers left, and a move behind the ledger's back; a line on each.

    Such a move is undone, or with `accept` recorded, which needs a reason. Raises PipelineError
    where the ledger is broken, or a version that an alias is to name does not work.
    """
    if accept and not reason.strip():
        raise PipelineError("the reason is empty: say with --reason why the move is accepted")
    client, who = store.client(root), processes.actor()
    with lock.holding(client, name, who) as held:
        lines = alias_move.settle(held)
        found = audit.stray(client, name)
        if found:
            make = _accepting if accept else _restoring
            try:
                event = alias_move.carry_out(root, held, make(found, who, reason, flow_run), check)
            except PipelineError as error:  # what was settled before is told all the same
                raise type(error)("\n".join([*lines, str(error)])) from error
            lines.append(f"{'recorded' if accept else 'restored'}: {event}")
    return lines


def _accepting(found: Stray, who: str, reason: str, flow_run: str | None) -> Event:
    """The move that somebody made, as if it had been told."""
    return Event(
        "found",
        found.name,
        _version({alias: now for alias, (_, now) in found.moves.items()}),
        found.moves,
        who=f"unknown (found by {who})",
        reason=reason,
        flow_run=flow_run,
    )


def _restoring(found: Stray, who: str, reason: str, flow_run: str | None) -> Event:
    """The move back to what the ledger says."""
    if found.moves.get(PRODUCTION, (0, 0))[0] is None:
        raise PipelineError(
            f"{found.name}: {found}. The ledger has no version to put back: record what was found "
            "with 'resnet reconcile --accept --reason …'"
        )
    return Event(
        "restore",
        found.name,
        _version({alias: told for alias, (told, _) in found.moves.items()}),
        {alias: (now, told) for alias, (told, now) in found.moves.items()},
        who=who,
        reason=reason.strip() or "it was moved behind the ledger's back",
        flow_run=flow_run,
    )


def _version(named: dict[str, int | None]) -> int | None:
    """Which version a move of these aliases is about: production's, if it is among them."""
    return named[PRODUCTION if PRODUCTION in named else CANDIDATE]
