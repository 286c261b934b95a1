"""Ask a person before a version goes into production, and take the answer.

A request is an event of the ledger, and so is its answer; nothing runs while somebody thinks.
"""

from datetime import UTC, datetime
from pathlib import Path

from resnet import params
from resnet.registry import store, versions
from resnet.registry.gate import gate
from resnet.registry.gate.verdict import Verdict
from resnet.registry.ledger import ledger, queries
from resnet.registry.ledger.event import Event, stamp
from resnet.registry.promotion import alias_move, promotion, request
from resnet.registry.promotion.promotion import Decision
from resnet.registry.promotion.smoke_test import must_work
from resnet.system import processes


def ask(
    root: Path,
    verdict: Verdict,
    *,
    until: datetime,
    reason: str,
    who: str | None = None,
    flow_run: str | None = None,
    check: alias_move.Check = must_work,
) -> Decision:
    """Request that the version which the gate was asked about be approved; refuse it if it failed.

    `candidate` moves to the version, if that works; production stays. A version is asked for once
    for each decision key: repeated, this makes nothing and tells what became of the request. Raises
    what `promotion.promote` raises.
    """
    wanted = Event(
        "request",
        verdict.name,
        verdict.version,
        {},
        who=who or processes.actor(),
        reason=reason,
        flow_run=flow_run,
        expires=stamp(until),
    )
    return promotion.apply(root, verdict, wanted, check)


def approve(
    root: Path,
    name: str,
    selector: str | int,
    rules: params.Gate,
    *,
    reason: str,
    who: str | None = None,
    flow_run: str | None = None,
    check: alias_move.Check = must_work,
) -> Decision:
    """Answer the open request about a version: put it into production.

    The gate's verdict is the request's, unless production has moved or the version was evaluated
    again since: then the gate is asked again, by `rules`, and may refuse. Raises what
    `promotion.promote` raises, and PipelineError where no request is open.
    """
    client = store.client(root)
    version = versions.resolve(client, name, selector)
    history = ledger.events(client, name)
    found = request.waiting(history, version, datetime.now(UTC))
    last = queries.last_move(history)
    moved = last is not None and history.index(last) > history.index(found.event)
    wanted = Event(
        "approve",
        name,
        version.number,
        {},
        who=who or processes.actor(),
        reason=reason,
        flow_run=flow_run,
        request=found.event.id,
    )
    verdict = found.verdict
    if moved or not verdict.is_about(version):
        verdict = gate.judge(root, name, version.number, rules)
    return promotion.apply(root, verdict, wanted, check)


def reject(
    root: Path,
    name: str,
    selector: str | int,
    *,
    reason: str,
    who: str | None = None,
    flow_run: str | None = None,
) -> Event:
    """Answer the open request about a version: it does not go into production. Nothing moves.

    Raises PipelineError without a reason, and where no request is open.
    """
    who = who or processes.actor()
    with alias_move.moving(root, name, who, reason) as held:
        client = held.client
        version = versions.resolve(client, name, selector)
        found = request.waiting(ledger.events(client, name), version, datetime.now(UTC))
        event = Event(
            "reject",
            name,
            version.number,
            {},
            who=who,
            reason=reason,
            flow_run=flow_run,
            request=found.event.id,
        )
        return alias_move.carry_out(root, held, event, must_work)
