"""Ask a person before a version goes into production, and record the answer.

A request is an event of the ledger, and so is its answer; no process runs in between.
"""

from datetime import UTC, datetime
from pathlib import Path

from resnet import params
from resnet.registry import store, versions
from resnet.registry.gate import gate
from resnet.registry.gate.verdict import Verdict
from resnet.registry.ledger import ledger, queries
from resnet.registry.ledger.event import Event, utc_iso
from resnet.registry.promotion import alias_move, promotion
from resnet.registry.promotion.promotion import Decision
from resnet.registry.promotion.request import require_open
from resnet.registry.promotion.smoke_test import require_working
from resnet.system import processes


def ask(
    root: Path,
    verdict: Verdict,
    *,
    until: datetime,
    reason: str,
    who: str | None = None,
    flow_run: str | None = None,
    check: alias_move.Check = require_working,
) -> Decision:
    """Request approval of the version that the gate judged; refuse it if the gate failed it.

    `candidate` moves to the version if it passes its check; production stays. There is one request
    per version and decision key: repeated, this changes nothing and returns that request as it is
    now. Raises what `promotion.promote` raises.
    """
    proposal = Event(
        "request",
        verdict.name,
        verdict.version,
        {},
        who=who or processes.actor(),
        reason=reason,
        flow_run=flow_run,
        expires=utc_iso(until),
    )
    return promotion.decide(root, verdict, proposal, check)


def approve(
    root: Path,
    name: str,
    selector: str | int,
    rules: params.Gate,
    *,
    reason: str,
    who: str | None = None,
    flow_run: str | None = None,
    check: alias_move.Check = require_working,
) -> Decision:
    """Approve the open request for a version: put it into production.

    The gate's verdict is the request's, unless production has moved or the version was evaluated
    again since: then the gate judges again, by `rules`, and may refuse. Raises what
    `promotion.promote` raises, and PipelineError if no request is open.
    """
    client = store.client(root)
    version = versions.resolve(client, name, selector)
    history = ledger.events(client, name)
    request = require_open(history, version, datetime.now(UTC))
    last = queries.last_move(history)
    moved = last is not None and history.index(last) > history.index(request.event)
    proposal = Event(
        "approve",
        name,
        version.number,
        {},
        who=who or processes.actor(),
        reason=reason,
        flow_run=flow_run,
        request=request.event.id,
    )
    verdict = request.verdict
    if moved or not verdict.is_about(version):
        verdict = gate.judge(root, name, version.number, rules)
    return promotion.decide(root, verdict, proposal, check)


def reject(
    root: Path,
    name: str,
    selector: str | int,
    *,
    reason: str,
    who: str | None = None,
    flow_run: str | None = None,
) -> Event:
    """Reject the open request for a version: it does not go into production. Nothing moves.

    Raises PipelineError if the reason is empty or no request is open.
    """
    who = who or processes.actor()
    with alias_move.exclusive_move(root, name, who, reason) as held:
        version = versions.resolve(held.client, name, selector)
        request = require_open(held.history, version, datetime.now(UTC))
        event = Event(
            "reject",
            name,
            version.number,
            {},
            who=who,
            reason=reason,
            flow_run=flow_run,
            request=request.event.id,
        )
        return alias_move.apply_alias_move(root, held, event, require_working)
