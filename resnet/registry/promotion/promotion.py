"""Move `production` to a version that passed the gate, or back; each move is in the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from resnet.errors import MovedError, PipelineError
from resnet.registry import versions
from resnet.registry.gate.verdict import Verdict
from resnet.registry.ledger import ledger, queries
from resnet.registry.ledger.event import Event
from resnet.registry.promotion import alias_move
from resnet.registry.promotion.request import Request, newest, waiting
from resnet.registry.promotion.smoke_test import must_work
from resnet.registry.store import Client
from resnet.registry.versions import CANDIDATE, PRODUCTION, Version
from resnet.system import processes


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
    check: alias_move.Check = must_work,
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
        who=who or processes.actor(),
        reason=reason,
        flow_run=flow_run,
        forced=force,
    )
    return apply(root, verdict, wanted, check)


def apply(root: Path, verdict: Verdict, wanted: Event, check: alias_move.Check) -> Decision:
    """Do what is `wanted` (promote, approve or request) if the verdict lets it, else refuse.

    What is wanted lacks its moves and its evidence. Where it names a request, that must be open.
    How often the test images were used is counted anew, for others may have decided since the gate
    was asked; an approval by the request's own verdict uses them no more. Raises as `promote` does.
    """
    name = verdict.name
    with alias_move.moving(root, name, wanted.who, wanted.reason) as held:
        client = held.client
        version = versions.resolve(client, name, verdict.version)
        verdict.require_about(version)
        history, now = ledger.events(client, name), datetime.now(UTC)
        uses = queries.uses(history, verdict.test_hash) + 1
        if wanted.request and waiting(history, version, now, wanted.request).verdict == verdict:
            uses = verdict.uses
        verdict = replace(verdict, uses=uses)
        production = versions.with_alias(client, name, PRODUCTION)
        if production and production.number == version.number:
            return Decision(version, True, verdict, None)
        asked = newest(history, version.number, now)
        if wanted.action == "request" and asked and asked.key == verdict.key:
            return Decision(version, False, verdict, None, asked)
        if (production.number if production else None) != verdict.against:
            raise _moved(version, verdict, production, history)
        event = _event(client, version, verdict, wanted, asked)
        finished = alias_move.carry_out(root, held, event, check)
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
    check: alias_move.Check = must_work,
) -> Event:
    """Put the version that was in production before, or the one named `to`, back.

    So too where nothing is in production any more. Raises PipelineError without a reason, where
    nothing ever was, and where there is no such version, it never was in production or does not
    work.
    """
    if to is not None and not str(to).strip():
        raise PipelineError(
            "the version to go back to is empty: give its number or an alias, or leave it out for "
            "the one before"
        )
    who = who or processes.actor()
    with alias_move.moving(root, name, who, reason) as held:
        client = held.client
        told = ledger.events(client, name)
        if not (ever := queries.ever_in_production(told, None)):
            raise PipelineError(f"{name} never had a version in production: promote one first")
        production = versions.with_alias(client, name, PRODUCTION)
        now = production.number if production else None
        wanted = _before(client, name, told, now) if to is None else to
        version = versions.resolve(client, name, wanted)
        if version.number == now:
            raise PipelineError(f"{version} is in production already: name another version")
        if version.number not in ever:
            raise PipelineError(
                f"{version} was never in production, so there is no way back to it: ask the gate, "
                f"with 'resnet promote {version.number}'"
            )
        event = Event(
            "rollback",
            name,
            version.number,
            {PRODUCTION: (now, version.number)},
            who=who,
            reason=reason,
            flow_run=flow_run,
        )
        return alias_move.carry_out(root, held, event, check)


def _before(client: Client, name: str, history: Sequence[Event], now: int | None) -> int:
    """The last version before the one in production `now` that is still there."""
    others = [number for number in reversed(queries.succession(history)) if number != now]
    for number in others:
        if versions.get(client, name, number):
            return number
    found = (
        f"what was in production of {name} before is deleted ({_listed(others)})"
        if others
        else f"nothing was in production of {name} before version {now}"
    )
    ever = sorted(queries.ever_in_production(history, None) - {now})
    if left := [number for number in ever if versions.get(client, name, number)]:
        raise PipelineError(f"{found}: name another that was there as 'to' ({_listed(left)})")
    raise PipelineError(f"{found}: promote another version")


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _moved(
    version: Version, verdict: Verdict, production: Version | None, history: Sequence[Event]
) -> MovedError:
    """Another was quicker: say who."""
    last = queries.last_move(history)
    return MovedError(
        f"the gate compared {version} with version {verdict.against or 'none'}, and "
        f"{production or 'nothing'} is in production now: ask the gate again"
        + (f". Since {last.time}: {last}" if last else "")
    )


def _event(
    client: Client, version: Version, verdict: Verdict, wanted: Event, asked: Request | None
) -> Event:
    """What is wanted or the refusal of it, whole; it answers the version's request if that waits.

    So no more than one request about a version is ever open. A refusal answers it where somebody
    wanted to approve: that the gate says no to others, such as a retraining at night, takes nothing
    out of the hands of the person who was asked.
    """
    action = wanted.action if verdict.passed or wanted.forced else "refuse"
    answers = action != "refuse" or wanted.action == "approve"
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
        request=asked.event.id if asked and asked.waits and answers else None,
        expires=wanted.expires if action == "request" else None,
    )
