"""A move takes what is new in the ledger, however long that is, and keeps its lock meanwhile."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from resnet import params
from resnet.errors import PipelineError
from resnet.registry import store
from resnet.registry.gate import gate
from resnet.registry.ledger import ledger, lock, verified_events
from resnet.registry.ledger.audit import CHECK_EVERY
from resnet.registry.ledger.event import Event
from resnet.registry.ledger.verified_events import WholeCheck
from resnet.registry.promotion import history, promotion
from tests.support import REPOSITORY
from tests.support.long_ledger import lengthen

GATE = params.load(REPOSITORY).gate
Check = Callable[..., None]
Register = Callable[..., int]


def promote_two(root: Path, name: str, register: Register, check: Check) -> None:
    for number in (register(name), register(name)):
        verdict = gate.judge(root, name, number, GATE)
        promotion.promote(root, verdict, reason="better", check=check)


@pytest.fixture
def runs_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many runs each search has returned since."""
    counts: list[int] = []

    class CountingClient(store.Client):
        def search_runs(self, *args: Any, **kwargs: Any) -> Any:
            page = super().search_runs(*args, **kwargs)
            counts.append(len(page))
            return page

    monkeypatch.setattr(store, "Client", CountingClient)
    return counts


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the client's methods in the order of their calls."""
    names: list[str] = []

    class RecordingClient(store.Client):
        def __getattribute__(self, name: str) -> Any:
            attribute = super().__getattribute__(name)
            if callable(attribute) and not name.startswith("_"):
                names.append(name)
            return attribute

    monkeypatch.setattr(store, "Client", RecordingClient)
    return names


def test_a_move_and_the_history_ask_a_long_ledger_as_often_and_as_much_as_a_short_one(
    made_store: Path, register: Register, check: Check, calls: list[str], runs_read: list[int]
) -> None:
    asked = {}
    for count in (20, 200):
        name = f"asked-{count}"
        promote_two(made_store, name, register, check)
        lengthen(made_store, name, count)
        assert history.read(made_store, name)[1] == []
        calls.clear()
        runs_read.clear()
        promotion.rollback(made_store, name, reason="back", check=check)
        moved = list(calls)
        assert len(history.read(made_store, name)[0]) == count + 3
        asked[count] = moved, calls[len(moved) :], list(runs_read)
    assert asked[20] == asked[200]


def test_a_move_reads_what_is_new_of_a_long_ledger(
    made_store: Path, register: Register, check: Check, runs_read: list[int]
) -> None:
    name = "long"
    promote_two(made_store, name, register, check)
    lengthen(made_store, name, 300)
    runs_read.clear()
    assert promotion.rollback(made_store, name, reason="back", check=check).version_to == 1
    assert 300 < sum(runs_read) < 310  # once: they are new here
    runs_read.clear()
    event = promotion.rollback(made_store, name, reason="and again", to=2, check=check)
    assert (event.version_to, event.index) == (2, 303)
    assert sum(runs_read) <= 2
    events, problems = history.read(made_store, name)
    assert (len(events), problems) == (304, [])
    assert verified_events.load(store.client(made_store), name) == events


def test_an_edit_of_an_old_event_is_found_by_the_history_and_changes_no_move(
    made_store: Path, register: Register, check: Check
) -> None:
    name = "edited"
    promote_two(made_store, name, register, check)
    client = store.client(made_store)
    first = ledger.events(client, name)[0]
    client.set_tag(first.id, "moves", '{"production": [null, 7]}')
    (problem,) = history.read(made_store, name)[1]
    assert problem.startswith("the ledger is not intact: event 0")
    assert promotion.rollback(made_store, name, reason="back", check=check).version_to == 1
    assert ledger.events(client, name)[0] == first


def test_an_edit_of_an_old_event_is_found_by_a_whole_check_and_by_every_reader_of_the_next_day(
    made_store: Path, register: Register, check: Check
) -> None:
    name = "edited-later"
    promote_two(made_store, name, register, check)
    client = store.client(made_store)
    events, problems = history.read(made_store, name)
    assert problems == []
    known = WholeCheck.read(client, name)
    assert known is not None
    assert known.head == events[-1].head
    client.set_tag(events[0].id, "reason", "worse")
    assert history.read(made_store, name) == (events, [])  # as it was verified
    told = f"the ledger is not intact: event 0 (run {events[0].id}) is not what was written"
    for age in (CHECK_EVERY, timedelta(hours=-1)):  # the latter by a clock that was ahead
        replace(known, time=datetime.now(UTC) - age).write(client, name)
        (problem,) = history.read(made_store, name)[1]
        assert problem.startswith(told)
    known.write(client, name)
    (problem,) = history.read(made_store, name, verify=True)[1]
    assert problem.startswith(told)
    assert history.read(made_store, name)[1] == [problem]  # and by all who come after
    known.write(client, name)
    assert f"{name}: {problem}" in history.problems(made_store, name)  # as doctor calls it
    client.set_tag(events[0].id, "reason", events[0].reason)
    assert history.read(made_store, name) == (events, [])


def test_what_a_killed_process_has_left_in_the_copy_is_replaced(
    made_store: Path, register: Register, check: Check
) -> None:
    name = "appended"
    promote_two(made_store, name, register, check)
    client = store.client(made_store)
    events = ledger.events(client, name)
    path = verified_events._path(client, name, verified_events.FILE)
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    for left in (last[:40], last):  # part of a line, and one that two processes have added
        path.write_bytes(whole + left)
        assert verified_events.load(client, name) == []
        assert ledger.events(client, name) == events
        assert path.read_bytes() == whole


def test_a_copy_of_the_events_that_is_damaged_is_read_anew(
    made_store: Path, register: Register, check: Check
) -> None:
    name = "torn-copy"
    promote_two(made_store, name, register, check)
    client = store.client(made_store)
    events = ledger.events(client, name)
    assert verified_events.load(client, name) == events
    copy = verified_events._path(client, name, verified_events.FILE)
    text = copy.read_text()
    for damaged in (text[:-100], text.replace("better", "worse"), "[]\n"):
        copy.write_text(damaged)
        assert ledger.events(client, name) == events
        assert copy.read_text() == text


def test_a_lock_outlasts_its_term_while_its_holder_lives(
    made_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "TERM_SECONDS", 3.0)
    monkeypatch.setattr(lock, "MARGIN_SECONDS", 1.5)
    client = store.client(made_store)
    with lock.holding(client, "lasting", "ann@host") as held:
        taken = lock.Holder.read(client, "lasting")
        assert taken is not None
        while datetime.now(UTC) <= taken.until:
            held.confirm()
            time.sleep(0.1)
        held.confirm()
    assert lock.Holder.read(client, "lasting") is None


def test_a_lock_that_was_lost_is_not_renewed(made_store: Path) -> None:
    client = store.client(made_store)
    with lock.holding(client, "lost", "ann@host") as held:
        assert lock._bury(client, "lost", held.token)
        with pytest.raises(PipelineError, match="no longer exists"):
            held.renew()
        with lock.holding(client, "lost", "bob@host"):
            before = lock.Holder.read(client, "lost")
            with pytest.raises(PipelineError, match="is held by bob@host"):
                held.renew()
            assert lock.Holder.read(client, "lost") == before


def test_a_copy_that_is_longer_than_the_ledger_is_replaced(
    made_store: Path, runs_read: list[int]
) -> None:
    client = store.client(made_store)

    def write(versions: range) -> None:
        for number in versions:
            event = Event("refuse", "renamed", number, {}, "ann@host", "no")
            ledger.finish(client, ledger.begin(client, event))

    write(range(1, 4))
    assert len(ledger.events(client, "renamed")) == 3
    experiment = store.experiment(client, "renamed-ledger")
    client.rename_experiment(experiment, "set-aside")
    write(range(1, 2))
    events = ledger.events(client, "renamed")
    assert verified_events.load(client, "renamed") == events
    runs_read.clear()
    assert ledger.events(store.client(made_store), "renamed") == events
    assert sum(runs_read) == 1
