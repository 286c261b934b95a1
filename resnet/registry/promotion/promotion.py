"""Move `production` to a version that passed the gate, or back; each move is in the ledger."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from resnet.errors import MovedError, PipelineError
from resnet.registry import versions
from resnet.registry.gate.verdict import Verdict
from resnet.registry.ledger import queries
from resnet.registry.ledger.event import Event
from resnet.registry.promotion import alias_move
from resnet.registry.promotion.request import Request, latest, require_open
from resnet.registry.promotion.smoke_test import require_working
from resnet.registry.store import Client
from resnet.registry.versions import CANDIDATE, PRODUCTION, Version, VersionId
from resnet.system import processes


@dataclass(frozen=True)
class Decision:
    """What was decided about a version that the gate judged.

    Without an event nothing had to be done.
    """

    version: Version
    promoted: bool  # it is in production now
    verdict: Verdict
    event: Event | None
    request: Request | None = None  # if a person is to decide, or did

    def __str__(self) -> str:
        about = f"{self.version.name} version {self.version.number}"
        if self.request:
            return f"{self.request}\n{self.verdict}"
        if self.event is None:
            return f"{about} is in production already"
        outcome = "now in production" if self.promoted else "refused by the gate"
        return f"{about} is {outcome}{' (forced)' if self.event.forced else ''}\n{self.verdict}"


def promote(
    root: Path,
    verdict: Verdict,
    *,
    reason: str,
    who: str | None = None,
    flow_run: str | None = None,
    force: bool = False,
    check: alias_move.Check = require_working,
) -> Decision:
    """Put the version that the gate judged into production if it passed.

    With `force` also if it failed. This answers an open request for the version. Raises
    PipelineError if the reason is empty, there is no such version, or it fails its check (with
    `force`, too), and MovedError if the version in production is not the one any more that the gate
    compared with.
    """
    proposal = Event(
        "promote",
        verdict.name,
        verdict.version,
        {},
        who=who or processes.actor(),
        reason=reason,
        flow_run=flow_run,
        forced=force,
    )
    return decide(root, verdict, proposal, check)


def decide(root: Path, verdict: Verdict, proposal: Event, check: alias_move.Check) -> Decision:
    """Do what is proposed (promote, approve or request) if the verdict allows it, else refuse.

    The proposal lacks its moves and its evidence. If it names a request, that must be open. The
    uses of the test samples are counted again, for there may be other decisions since the gate
    judged; an approval by the request's own verdict is no further use. Raises as `promote` does.
    """
    name = verdict.name
    with alias_move.exclusive_move(root, name, proposal.who, proposal.reason) as held:
        client, history, now = held.client, held.history, datetime.now(UTC)
        version = versions.resolve(client, name, verdict.version)
        verdict.require_about(version)
        verdict = _with_uses(verdict, proposal, history, version, now)
        production = versions.with_alias(client, name, PRODUCTION)
        if production and production.number == version.number:
            return Decision(version, True, verdict, None)
        request = latest(history, version.id, now)
        if proposal.action == "request" and request and request.key == verdict.key:
            return Decision(version, False, verdict, None, request)
        if (production.number if production else None) != verdict.against:
            raise _moved(version, verdict, production, history)
        event = _event(client, version, verdict, proposal, request)
        event = alias_move.apply_alias_move(root, held, event, check)
        version = versions.resolve(client, name, version.number)  # with its present aliases
        new = Request(event, version.id, "open", None) if event.action == "request" else None
        return Decision(version, event.version_to is not None, verdict, event, new)


def _with_uses(
    verdict: Verdict, proposal: Event, history: Sequence[Event], version: Version, now: datetime
) -> Verdict:
    uses = queries.uses(history, verdict.test_hash) + 1
    if proposal.request:
        request = require_open(history, version, now, proposal.request)
        if request.verdict == verdict:
            return verdict
    return replace(verdict, uses=uses)


def rollback(
    root: Path,
    name: str,
    *,
    reason: str,
    to: str | int | None = None,
    who: str | None = None,
    flow_run: str | None = None,
    check: alias_move.Check = require_working,
) -> Event:
    """Put the previous version, or the one named `to`, into production again.

    Also if nothing is in production any more. Raises PipelineError if the reason is empty, nothing
    ever was in production, or the version does not exist, never was in production or fails its
    check.
    """
    if to is not None and not str(to).strip():
        raise PipelineError(
            "the version to roll back to is empty: give its number or an alias, or omit it for the "
            "previous one"
        )
    who = who or processes.actor()
    with alias_move.exclusive_move(root, name, who, reason) as held:
        client, history = held.client, held.history
        former = queries.ever_in_production(history)
        if not former:
            raise PipelineError(f"{name} never had a version in production: promote one first")
        production = versions.with_alias(client, name, PRODUCTION)
        now = production.id if production else None
        target = _previous(client, name, history, now) if to is None else to
        version = versions.resolve(client, name, target)
        if version.id == now:
            raise PipelineError(f"{version} is in production already: name another version")
        if not any(version.id.is_same(one) for one in former):
            raise PipelineError(
                f"{version} was never in production, so it is not a rollback target: ask the gate "
                f"with 'resnet promote {version.number}'"
            )
        event = Event(
            "rollback",
            name,
            version.number,
            {PRODUCTION: (now.number if now else None, version.number)},
            who=who,
            reason=reason,
            flow_run=flow_run,
        )
        return alias_move.apply_alias_move(root, held, event, check)


def _previous(client: Client, name: str, history: Sequence[Event], now: VersionId | None) -> int:
    """The last version before the one in production `now` that still exists."""

    def exists(id: VersionId) -> bool:
        version = versions.get(client, name, id.number)
        return version is not None and version.id.is_same(id)

    def others(ids: Iterable[VersionId]) -> list[VersionId]:
        return [id for id in ids if now is None or not id.is_same(now)]

    earlier = others(reversed(queries.succession(history)))
    for id in earlier:
        if exists(id):
            return id.number
    problem = (
        f"the versions that were in production of {name} before are deleted ({_listed(earlier)})"
        if earlier
        else f"nothing was in production of {name} before version {now.number if now else 'none'}"
    )
    former = sorted(others(queries.ever_in_production(history)))
    if existing := [id for id in former if exists(id)]:
        raise PipelineError(f"{problem}: name another former one as 'to' ({_listed(existing)})")
    raise PipelineError(f"{problem}: promote another version")


def _listed(ids: Sequence[VersionId]) -> str:
    return ", ".join(str(id.number) for id in ids)


def _moved(
    version: Version, verdict: Verdict, production: Version | None, history: Sequence[Event]
) -> MovedError:
    """The error if another process has moved production in the meantime, with who did."""
    last = queries.last_move(history)
    return MovedError(
        f"the gate compared {version} with version {verdict.against or 'none'}, but "
        f"{production or 'nothing'} is in production now: ask the gate again"
        + (f". Since {last.time}: {last}" if last else "")
    )


def _event(
    client: Client, version: Version, verdict: Verdict, proposal: Event, request: Request | None
) -> Event:
    """The proposal or its refusal, complete; it answers the version's request if that is open.

    So at most one request for a version is open. A refusal answers it only if the proposal was to
    approve: when the gate refuses another proposal, such as a retraining's at night, the decision
    stays with the person who was asked.
    """
    action = proposal.action if verdict.passed or proposal.forced else "refuse"
    answers = action != "refuse" or proposal.action == "approve"
    moves: dict[str, tuple[int | None, int | None]] = {}
    candidate = versions.with_alias(client, version.name, CANDIDATE)
    if verdict.passed and (candidate is None or candidate.number < version.number):
        moves[CANDIDATE] = (candidate.number if candidate else None, version.number)
    if action in ("promote", "approve"):
        moves[PRODUCTION] = (verdict.against, version.number)
    return replace(
        proposal,
        action=action,
        moves=moves,
        forced=proposal.forced and not verdict.passed,
        evidence=verdict.as_dict(),
        request=request.event.id if request and request.is_open and answers else None,
        expires=proposal.expires if action == "request" else None,
    )
