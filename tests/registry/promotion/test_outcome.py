"""What a run has to decide, and how it ends; all of it runs end to end elsewhere."""

from dataclasses import replace

import pytest

from resnet.registry.gate.verdict import Verdict
from resnet.registry.ledger.event import Event
from resnet.registry.promotion import outcome
from resnet.registry.promotion.promotion import Decision
from resnet.registry.promotion.request import Request
from resnet.registry.promotion.smoke_test import require_intact, require_working
from resnet.registry.promotion.status import Status
from resnet.registry.versions import Version

VERSION = Version("net", 1, "", "", "", "", "", ())
NOTHING = Status(None, evaluated=False, decided=False)
UNDECIDED = Status(VERSION, evaluated=True, decided=False)
DECIDED = Status(VERSION, evaluated=True, decided=True)
PROBLEM = "production names version 1, the ledger names 2"


@pytest.mark.parametrize(
    ("before", "after", "promote", "went_back", "check"),
    [
        (NOTHING, UNDECIDED, "if-better", False, require_intact),
        (UNDECIDED, UNDECIDED, "if-better", False, require_working),
        (UNDECIDED, UNDECIDED, "ask", False, require_working),
        (NOTHING, UNDECIDED, "never", False, None),
        (UNDECIDED, UNDECIDED, "never", False, None),
        (DECIDED, DECIDED, "if-better", False, None),
        (DECIDED, DECIDED, "if-better", True, require_working),
        (DECIDED, DECIDED, "never", True, None),
    ],
)
def test_a_version_is_decided_about_unless_that_is_unwanted_and_loaded_unless_it_has_just_been(
    before: Status,
    after: Status,
    promote: outcome.Promote,
    went_back: bool,
    check: object,
) -> None:
    assert outcome.check_before_decision(before, after, promote, went_back) is check


def event(action: str) -> Event:
    return Event(action, "net", 1, {}, "ann@host", "why", expires="2026-02-02T03:04", id="e")  # type: ignore[arg-type]


OPEN = Request(event("request"), VERSION.id, "open", None)
EXPIRED = Request(event("request"), VERSION.id, "expired", None)
VERDICT = Verdict("net", 1, None, "key", (), "", "", "", 1, {}, None, None)
PROMOTED = Decision(VERSION, True, VERDICT, event("promote"))
REFUSED = Decision(VERSION, False, VERDICT, event("refuse"))
ASKED = Decision(VERSION, False, VERDICT, event("request"), OPEN)
ANSWERS = OPEN.answers()


@pytest.mark.parametrize(
    ("before", "after", "decision", "name", "lines"),
    [
        (NOTHING, UNDECIDED, PROMOTED, "Completed", [str(PROMOTED)]),
        (UNDECIDED, UNDECIDED, REFUSED, "Completed", [str(REFUSED)]),
        (NOTHING, UNDECIDED, ASKED, "Awaiting approval", [str(ASKED), ANSWERS]),
        (NOTHING, UNDECIDED, None, "Completed", [f"{VERSION} is registered"]),
        (DECIDED, DECIDED, None, "Up to date", [f"{VERSION} is registered: nothing to do"]),
        (
            replace(DECIDED, request=OPEN),
            replace(DECIDED, request=OPEN),
            None,
            "Up to date",
            [str(OPEN), ANSWERS],
        ),
        (
            replace(DECIDED, request=EXPIRED),
            replace(DECIDED, request=EXPIRED),
            None,
            "Up to date",
            [str(EXPIRED)],
        ),
        (
            replace(DECIDED, problems=(PROBLEM,)),
            replace(DECIDED, problems=(PROBLEM,)),
            None,
            "Up to date",
            [f"{VERSION} is registered: nothing to do", f"warning: {PROBLEM}"],
        ),
        (
            NOTHING,
            replace(UNDECIDED, problems=(PROBLEM,)),
            PROMOTED,
            "Completed",
            [str(PROMOTED)],
        ),
    ],
)
def test_the_run_ends_with_its_result_how_to_answer_a_request_and_problems_that_nobody_settled(
    before: Status, after: Status, decision: Decision | None, name: str, lines: list[str]
) -> None:
    assert outcome.last_state(before, after, decision) == (name, "\n".join(lines))
