"""Move `production` to a version that passed the gate, or back; each move is in the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from resnet.errors import MovedError, PipelineError
from resnet.registry import ledger, move, past, versions
from resnet.registry.check import must_work
from resnet.registry.event import Event
from resnet.registry.request import Request, newest, waiting
from resnet.registry.verdict import Verdict
from resnet.registry.versions import CANDIDATE, PRODUCTION, Version


@dataclass(frozen=True)
class Decision:
    """What became of a version that the gate was asked about.

    Without an event nothing had to be done.
    """

    version: Version
    promoted: bool  # it is in production now
    verdict: Verdict
    event: Event | None
    request: Request | None = None  # a person is to decide, or did

    def __str__(self) -> str:
        where = f"{self.version.name} version {self.version.number}"
        if self.request:
            return f"{self.request}\n{self.verdict}"
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

    With `force` against the gate. An open request for approval of the version is answered by it.
    Raises PipelineError without a reason, for a version that is not there, or where it does not
    work (not even by force), and MovedError where production is not the version any more that the
    gate compared with.
    """
    wanted = Event(
        "promote",
        verdict.name,
        verdict.version,
        {},
        who=who or ledger.whoever(),
        reason=reason,
        flow_run=flow_run,
        forced=force,
    )
    return apply(root, verdict, wanted, check)


def apply(root: Path, verdict: Verdict, wanted: Event, check: move.Check) -> Decision:
    """Do what is `wanted` (promote, approve or request) if the verdict lets it, else refuse.

    What is wanted lacks its moves and its evidence. Where it names a request, that must be open.
    Raises as `promote` does.
    """
    name = verdict.name
    with move.moving(root, name, wanted.who, wanted.reason) as held:
        client = held.client
        version = versions.resolve(client, name, verdict.version)
        verdict.must_be_about(version)
        history, now = ledger.events(client, name), datetime.now(UTC)
        if wanted.request:
            waiting(history, version, now, wanted.request)
        production = versions.with_alias(client, name, PRODUCTION)
        if production and production.number == version.number:
            return Decision(version, True, verdict, None)
        asked = newest(history, version.number, now)
        if wanted.action == "request" and asked and asked.key == verdict.key:
            return Decision(version, False, verdict, None, asked)
        if (production.number if production else None) != verdict.against:
            raise _moved(version, verdict, production, history)
        event = _event(client, version, verdict, wanted, asked)
        finished = move.carry_out(root, held, event, check)
        version = versions.resolve(client, name, version.number)  # with today's aliases
        made = Request(finished, "open", None) if finished.action == "request" else None
        return Decision(version, finished.version_to is not None, verdict, finished, made)


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
    who = who or ledger.whoever()
    with move.moving(root, name, who, reason) as held:
        client = held.client
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
    served = past.succession(ledger.events(client, production.name))
    for number in reversed(served):
        if number != production.number:
            return number
    raise PipelineError(
        f"no other version than {production.number} of {production.name} was ever in production: "
        "name the one that you want with --to"
    )


def _moved(
    version: Version, verdict: Verdict, production: Version | None, history: Sequence[Event]
) -> MovedError:
    """Another was quicker: say who."""
    last = past.last_move(history)
    return MovedError(
        f"the gate compared {version} with version {verdict.against or 'none'}, and "
        f"{production or 'nothing'} is in production now: ask the gate again"
        + (f". Since {last.time}: {last}" if last else "")
    )


def _event(
    client: Any, version: Version, verdict: Verdict, wanted: Event, asked: Request | None
) -> Event:
    """What is wanted or the refusal of it, whole; it answers the version's request if that waits.

    So no more than one request about a version is ever open.
    """
    action = wanted.action if verdict.passed or wanted.forced else "refuse"
    moves: dict[str, tuple[int | None, int | None]] = {}
    candidate = versions.with_alias(client, version.name, CANDIDATE)
    if verdict.passed and (candidate is None or candidate.number < version.number):
        moves[CANDIDATE] = (candidate.number if candidate else None, version.number)
    if action in ("promote", "approve"):
        moves[PRODUCTION] = (verdict.against, version.number)
    return replace(
        wanted,
        action=action,
        moves=moves,
        forced=wanted.forced and not verdict.passed,
        evidence=verdict.as_dict(),
        request=asked.event.id if asked and asked.waits else None,
        expires=wanted.expires if action == "request" else None,
    )
