"""What a run has to decide, and how it ends: the state of the registry in, words out."""

from typing import Literal

from resnet.registry.promotion.alias_move import Check
from resnet.registry.promotion.promotion import Decision
from resnet.registry.promotion.request import Request
from resnet.registry.promotion.smoke_test import require_intact, require_working
from resnet.registry.promotion.status import Status

Promote = Literal["if-better", "ask", "never"]


def check_before_decision(
    before: Status, after: Status, promote: Promote, went_back: bool
) -> Check | None:
    """How to test the version before the decision that is due; None if none is due.

    `went_back`: whether the data went back to an earlier state, whose version was decided before. A
    version that this run has published needs the smaller test, for `publish` has loaded it a moment
    ago.
    """
    if promote == "never" or (after.decided and not went_back):
        return None
    return require_working if before.version else require_intact


def last_state(before: Status, after: Status, decision: Decision | None) -> tuple[str, str]:
    """The name and the message of the run's last state."""
    request = open_request(after, decision)
    if decision:
        name, message = "Awaiting approval" if request else "Completed", str(decision)
    elif after == before:
        name = "Up to date"
        message = str(after.request or f"{after.version} is registered: nothing to do")
    else:
        name, message = "Completed", f"{after.version} is registered"
    answers = [request.answers()] if request else []
    warnings = [f"warning: {problem}" for problem in open_problems(after, decision)]
    return name, "\n".join([message, *answers, *warnings])


def up_to_date(found: Status, promote: Promote) -> str | None:
    """The message of a run without a cause whose stages had nothing to do, if that is all.

    None if the registry lacks anything.
    """
    if not found.is_published or check_before_decision(found, found, promote, went_back=False):
        return None
    return last_state(found, found, None)[1]


def open_request(after: Status, decision: Decision | None) -> Request | None:
    """The request for approval of the version that waits for its answer, if there is one."""
    request = decision.request if decision else after.request
    return request if request and request.is_open else None


def open_problems(after: Status, decision: Decision | None) -> tuple[str, ...]:
    """The problems of the ledger; a decision has already settled or reported them."""
    return () if decision else after.problems
