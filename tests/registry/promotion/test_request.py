"""The state of a request for approval follows from the events and the clock alone."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resnet.registry.ledger.event import Action, Event, utc_iso
from resnet.registry.promotion import history
from resnet.registry.promotion.request import RequestState, latest, requests
from resnet.registry.versions import VersionId

ASKED = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
EXPIRES = ASKED + timedelta(hours=72)
HOUR = timedelta(hours=1)


def event(action: Action, version: int = 2, *, after: timedelta = HOUR, **kwargs: Any) -> Event:
    """Something that happened some time after the request."""
    moves = kwargs.pop("moves", {})
    when = utc_iso(ASKED + after)
    return Event(action, "m", version, moves, "ann@host", "why", time=when, **kwargs)


def asking(id: str = "asked", version: int = 2, **kwargs: Any) -> Event:
    after = kwargs.pop("after", timedelta())
    return event("request", version, id=id, after=after, expires=utc_iso(EXPIRES), **kwargs)


INTO = {"production": (1, 2)}
LATE = timedelta(hours=73)


def test_a_request_is_open_until_it_expires_and_then_counts_as_rejected() -> None:
    ledger = [asking()]
    (before,) = requests(ledger, EXPIRES - timedelta(seconds=1))
    (after,) = requests(ledger, EXPIRES)
    assert (before.state, before.is_open, before.answer) == ("open", True, None)
    assert (after.state, after.is_open, after.answer) == ("expired", False, None)
    assert str(before) == (
        "m version 2 is awaiting approval since 2031-01-02 03:04, until 2031-01-05 03:04 UTC"
    )
    assert "expired on 2031-01-05 03:04 UTC without an answer, and counts as rej" in str(after)


@pytest.mark.parametrize(
    ("later", "state"),
    [
        (event("approve", request="asked", moves=INTO), "approved"),
        (event("promote", request="asked", moves=INTO), "approved"),
        (event("reject", request="asked"), "rejected"),
        (event("refuse", request="asked"), "rejected"),
        (asking("newer", request="asked", after=HOUR), "replaced"),
        (event("rollback", moves=INTO), "approved"),
        (event("found", moves=INTO), "approved"),
        (event("promote", after=LATE, moves=INTO), "expired"),
        (event("reject", request="another"), "expired"),
        (event("promote", 3, moves={"production": (1, 3)}), "expired"),
        (event("rollback", 1, moves={"production": (2, 1)}), "expired"),
        (event("found", None, moves={"production": (1, None)}), "expired"),  # type: ignore[arg-type]
    ],
)
def test_an_event_answers_a_request_by_naming_it_or_by_moving_production_in_time(
    later: Event, state: RequestState
) -> None:
    request = requests([event("promote", 1), asking(), later], EXPIRES)[0]
    assert request.state == state
    assert request.answer == (None if state == "expired" else later)


def test_the_first_answer_counts() -> None:
    ledger = [asking(), event("reject", request="asked"), event("promote", moves=INTO)]
    (request,) = requests(ledger, ASKED + 2 * HOUR)
    assert (request.state, request.answer) == ("rejected", ledger[1])
    assert str(request) == (
        "the request to approve m version 2 was rejected on 2031-01-02 04:04 UTC: "
        "reject 2, by ann@host: why"
    )


def test_what_came_before_a_request_is_no_answer_to_it() -> None:
    ledger = [event("promote", moves=INTO, after=-HOUR), event("rollback", 1), asking()]
    assert requests(ledger, ASKED + HOUR)[0].is_open


def test_of_the_requests_for_a_version_the_last_is_found() -> None:
    ledger = [asking("one"), asking("other", 3), asking("two", request="one", after=HOUR)]
    request = latest(ledger, VersionId(2, None), ASKED + HOUR)
    assert request is not None
    assert (request.event.id, request.state) == ("two", "open")
    assert latest(ledger, VersionId(4, None), ASKED + HOUR) is None


def test_an_event_is_one_line_of_the_history_whatever_was_given_as_its_reason() -> None:
    rejection = event("reject", index=0, request="x")
    rejection = replace(rejection, reason="no:\n- slow\n\tbig", who="ann\n@host")
    table = history.as_table([rejection], ASKED)
    assert table.splitlines()[1:] == [
        "0  2031-01-02 04:04:05  reject  2                    ann @host  no: - slow big"
    ]


def test_the_history_shows_how_each_request_stands_and_how_to_answer_it() -> None:
    ledger = [
        asking("a"),
        event("reject", request="a"),
        asking("b", 3, moves={"candidate": (2, 3)}),
        asking("c", 4, flow_run="7"),
        event("approve", 4, request="c", moves={"production": (1, 4)}),
    ]
    ledger = [replace(event, index=index) for index, event in enumerate(ledger)]
    assert history.as_table(ledger, ASKED + HOUR).splitlines() == [
        "#  TIME (UTC)           ACTION              VERSION  PRODUCTION  WHO       WHY",
        "0  2031-01-02 03:04:05  request (rejected)  2                    ann@host  why",
        "1  2031-01-02 04:04:05  reject              2                    ann@host  why (to request 0)",  # noqa: E501
        "2  2031-01-02 03:04:05  request (open)      3                    ann@host  why",
        "3  2031-01-02 03:04:05  request (approved)  4                    ann@host  why (flow run 7)",  # noqa: E501
        "4  2031-01-02 04:04:05  approve             4        1 → 4       ann@host  why (to request 3)",  # noqa: E501
        "",
        "m version 3 is awaiting approval since 2031-01-02 03:04, until 2031-01-05 03:04 UTC",
        '  resnet approve 3 --model m --reason "…"',
        '  resnet reject 3 --model m --reason "…"',
    ]
    late = history.as_table(ledger, EXPIRES)
    assert "request (expired)   3" in late
    assert "resnet approve" not in late
    lines = history.as_json_lines(ledger, EXPIRES).splitlines()
    assert ['"state": "expired"' in line for line in lines] == [False, False, True, False, False]
    assert '"state"' not in lines[1]


def test_the_last_events_of_a_long_history_come_with_the_number_of_earlier_ones() -> None:
    ledger = [asking("a"), *(event("refuse", 9) for _ in range(1100)), event("reject", 8)]
    ledger = [replace(event, index=index) for index, event in enumerate(ledger)]
    lines = history.as_table(ledger, ASKED + HOUR, last=2).splitlines()
    assert lines[1] == "… 1,100 earlier events: --all"
    assert [line.partition(" ")[0] for line in lines[2:5]] == ["1100", "1101", ""]
    assert lines[5].startswith("m version 2 is awaiting approval")  # however old the request is
    assert history.as_table(ledger, ASKED, last=1101).splitlines()[1] == "… 1 earlier event: --all"
    for last in (None, 1102, 2000):
        assert len(history.as_table(ledger, ASKED, last).splitlines()) == 1 + 1102 + 4
    (line,) = history.as_json_lines(ledger, ASKED, last=1).splitlines()
    assert json.loads(line)["index"] == 1101
    assert len(history.as_json_lines(ledger, ASKED).splitlines()) == 1102


def test_a_clock_that_steps_back_reopens_no_request() -> None:
    ledger = [asking(), event("refuse", 9, after=timedelta(hours=73))]
    assert requests(ledger, ASKED + timedelta(hours=74))[0].state == "expired"
    assert requests(ledger, ASKED + HOUR)[0].state == "expired"
    assert requests(ledger[:1], ASKED - HOUR)[0].is_open
