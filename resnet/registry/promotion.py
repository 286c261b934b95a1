"""Move `production` to a version that passed the gate, or back; each move is in the ledger."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet.errors import MovedError, PipelineError
from resnet.registry import ledger, lock, move, reconcile, store, versions
from resnet.registry.check import must_work
from resnet.registry.event import Event, Moves
from resnet.registry.verdict import Verdict
from resnet.registry.versions import CANDIDATE, PRODUCTION, Version


@dataclass(frozen=True)
class Decision:
    """What became of a promotion. Without an event nothing had to be moved."""

    version: Version
    promoted: bool  # it is in production now
    verdict: Verdict
    event: Event | None

    def __str__(self) -> str:
        where = f"{self.version.name} version {self.version.number}"
        if self.event is None:
            return f"{where} is in production already"
        head = f"{where} is {'now in production' if self.promoted else 'refused by the gate'}"
        return f"{head}{' (forced)' if self.event.forced else ''}\n{self.verdict}"


def promote(
    root: Path,
    verdict: Verdict,
    *,
    reason: str,
    who: str | None = None,
    flow_run: str | None = None,
    force: bool = False,
    check: move.Check = must_work,
) -> Decision:
    """Put the version that the gate was asked about into production if it passed.

    With `force` against the gate. Raises PipelineError without a reason, for a version that is not
    there, or where it does not work (not even by force), and MovedError where production is not the
    version any more that the gate compared with.
    """
    _need(reason)
    client, name, who = store.client(root), verdict.name, who or ledger.whoever()
    with lock.holding(client, name, who) as held:
        reconcile.ready(held)
        version = versions.resolve(client, name, verdict.version)
        production = versions.with_alias(client, name, PRODUCTION)
        before = production.number if production else None
        if before == version.number:
            _note(client, version, "promoted", verdict)
            return Decision(version, True, verdict, None)
        if before != verdict.against:
            raise _moved(client, version, verdict, production)
        promoted = verdict.passed or force
        event = Event(
            "promote" if promoted else "refuse",
            name,
            version.number,
            moves=_moves(client, version, verdict, promoted),
            who=who,
            reason=reason,
            flow_run=flow_run,
            forced=force and not verdict.passed,
            evidence=_evidence(version, verdict),
        )
        finished = move.carry_out(root, held, event, check)
        verdict.log(client, finished.id)  # for readers: the ledger has it already
        _note(client, version, "promoted" if promoted else "refused", verdict)
        version = versions.resolve(client, name, version.number)
        return Decision(version, promoted, verdict, finished)


def rollback(
    root: Path,
    name: str,
    *,
    reason: str,
    to: str | int | None = None,
    who: str | None = None,
    flow_run: str | None = None,
    check: move.Check = must_work,
) -> Event:
    """Put the version that was in production before, or the one named `to`, back.

    Raises PipelineError without a reason, and where there is no such version or it does not work.
    """
    _need(reason)
    client, who = store.client(root), who or ledger.whoever()
    with lock.holding(client, name, who) as held:
        reconcile.ready(held)
        production = versions.with_alias(client, name, PRODUCTION)
        if production is None:
            raise PipelineError(f"{name} has no version in production: promote one first")
        version = versions.resolve(client, name, to or _before(client, production))
        if version.number == production.number:
            raise PipelineError(f"{version} is in production already: name another version")
        event = Event(
            "rollback",
            name,
            version.number,
            {PRODUCTION: (production.number, version.number)},
            who=who,
            reason=reason,
            flow_run=flow_run,
        )
        return move.carry_out(root, held, event, check)


def _before(client: Any, production: Version) -> int:
    """The version that was in production before, by the ledger."""
    past = ledger.in_production(ledger.events(client, production.name))
    for number in reversed(past):
        if number != production.number:
            return number
    raise PipelineError(
        f"no other version than {production.number} of {production.name} was ever in production: "
        "name the one that you want with --to"
    )


def _moved(
    client: Any, version: Version, verdict: Verdict, production: Version | None
) -> MovedError:
    """Another was quicker: say who."""
    last = ledger.last_move(ledger.events(client, version.name))
    return MovedError(
        f"the gate compared {version} with version {verdict.against or 'none'}, and "
        f"{production or 'nothing'} is in production now: ask the gate again"
        + (f". Since {last.time}: {last}" if last else "")
    )


def _moves(client: Any, version: Version, verdict: Verdict, promoted: bool) -> Moves:
    """Production where it is promoted; `candidate` where it passed, unless that is a newer one."""
    moves: dict[str, tuple[int | None, int | None]] = {}
    newest = versions.with_alias(client, version.name, CANDIDATE)
    if verdict.passed and (newest is None or newest.number < version.number):
        moves[CANDIDATE] = (newest.number if newest else None, version.number)
    if promoted:
        moves[PRODUCTION] = (verdict.against, version.number)
    return moves


def _note(client: Any, version: Version, decision: str, verdict: Verdict) -> None:
    """Tag the version with the decision, so that a later run knows that there is one."""
    if (version.decision, version.decision_key) == (decision, verdict.key):
        return
    # The key comes last: without it there is no decision.
    for tag, value in {"decision": decision, "decision_key": verdict.key}.items():
        client.set_model_version_tag(version.name, str(version.number), tag, value)


def _evidence(version: Version, verdict: Verdict) -> dict[str, Any]:
    return {
        "model_hash": version.model_hash,
        "evaluation_hash": version.evaluation_hash,
        **verdict.as_dict(),
    }


def _need(reason: str) -> None:
    if not reason.strip():
        raise PipelineError("the reason is empty: say why with --reason, for those who come later")
