"""Bring the ledger and the aliases back to one word, after a crash or a hand in MLflow's page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet.errors import PipelineError
from resnet.registry import ledger, lock, move, store, versions
from resnet.registry.check import must_work
from resnet.registry.event import Event
from resnet.registry.lock import Lock
from resnet.registry.versions import PRODUCTION


@dataclass(frozen=True)
class Stray:
    """Production is not where the ledger's last event put it."""

    name: str
    told: int | None  # the version that the ledger's last move names
    found: int | None  # the version that the alias names

    def __str__(self) -> str:
        found = f"production names version {self.found}" if self.found else "production is gone"
        told = f"event says {self.told}" if self.told else "word is that nothing is in production"
        return f"{found}, the ledger's last {told}: moved behind the ledger's back"


def stray(client: Any, name: str) -> Stray | None:
    """Whether production of `name` was moved behind the ledger's back."""
    last = ledger.last_move(ledger.events(client, name))
    told = last.version_to if last else None
    production = versions.with_alias(client, name, PRODUCTION)
    found = production.number if production else None
    return Stray(name, told, found) if found != told else None


def ready(held: Lock) -> None:
    """Settle what killed movers left.

    Raises PipelineError where the ledger is broken, or production was moved behind its back.
    """
    client, name = held.client, held.name
    ledger.verify(client, name)
    move.settle(held, name)
    found = stray(client, name)
    if found:
        raise PipelineError(
            f"{name}: {found}. 'resnet reconcile' puts back what the ledger says, "
            "'resnet reconcile --accept --reason …' records what was found"
        )


def reconcile(
    root: Path,
    name: str,
    *,
    accept: bool = False,
    reason: str = "",
    flow_run: str | None = None,
    check: move.Check = must_work,
) -> list[str]:
    """Settle what killed movers left, and a move behind the ledger's back; a line on each.

    Such a move is undone, or with `accept` recorded, which needs a reason. Raises PipelineError
    where the ledger is broken, or the version that the ledger names does not work any more.
    """
    if accept and not reason.strip():
        raise PipelineError("the reason is empty: say with --reason why the move is accepted")
    client, who = store.client(root), ledger.whoever()
    with lock.holding(client, name, who) as held:
        ledger.verify(client, name)
        lines = move.settle(held, name)
        found = stray(client, name)
        if found and accept:
            lines.append(f"recorded: {_record(held, found, who, reason, flow_run)}")
        elif found:
            event = _restoring(found, who, reason, flow_run)
            lines.append(f"restored: {move.carry_out(root, held, event, check)}")
    return lines


def _record(held: Lock, found: Stray, who: str, reason: str, flow_run: str | None) -> Event:
    """Write the move that somebody made into the ledger, as if it had been told."""
    event = Event(
        "found",
        found.name,
        found.found,
        {PRODUCTION: (found.told, found.found)},
        who=f"unknown (found by {who})",
        reason=reason,
        flow_run=flow_run,
    )
    begun = ledger.begin(held.client, event)
    held.confirm()
    return ledger.finish(held.client, begun)


def _restoring(found: Stray, who: str, reason: str, flow_run: str | None) -> Event:
    """The move back to what the ledger says."""
    if found.told is None:
        raise PipelineError(
            f"{found.name}: {found}. The ledger has no version to put back: record what was found "
            "with 'resnet reconcile --accept --reason …'"
        )
    return Event(
        "restore",
        found.name,
        found.told,
        {PRODUCTION: (found.found, found.told)},
        who=who,
        reason=reason.strip() or "production was moved behind the ledger's back",
        flow_run=flow_run,
    )


def audit(client: Any, name: str) -> list[str]:
    """What is wrong with the ledger of `name` and its aliases, in words."""
    found = ledger.broken(client, name)
    problems = [f"the ledger is not whole: {found}"] if found else []
    holder = lock.Holder.read(client, name)
    if holder and not holder.is_over:
        return [*problems, f"a move is under way, by {holder}"]
    left = ledger.unfinished(client, name)
    problems += [f"begun and not finished: {event}; run 'resnet reconcile'" for event in left]
    strayed = stray(client, name)
    if strayed and not left:
        problems.append(f"{strayed}; 'resnet reconcile' puts it back, or accepts it")
    return problems
