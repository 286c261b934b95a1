"""The ledger is a chain: an edited, deleted or moved event is noticed."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from resnet.errors import PipelineError
from resnet.registry import store
from resnet.registry.ledger import ledger
from resnet.registry.ledger.event import TAG_LENGTH, Event, from_iso, milliseconds, utc_iso
from resnet.registry.promotion import history

NOW = datetime(2031, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def event(name: str, version: int = 1, **kwargs: Any) -> Event:
    moves = {"production": (version - 1 or None, version)}
    values = {"who": "ann@host", "reason": "better", "moves": moves, **kwargs}
    return Event("promote", name, version, **values)


def broken(client: Any, name: str) -> str | None:
    return ledger.read(client, name).broken


def test_an_event_may_be_about_no_version_at_all(made_store: Path) -> None:
    client = store.client(made_store)
    moves = {"production": (2, None)}
    change = replace(event("gone"), action="found", version=None, moves=moves)
    finished = ledger.finish(client, ledger.begin(client, change))
    assert ledger.events(client, "gone") == [finished]
    assert finished.versions == {2}
    assert broken(client, "gone") is None


def write(client: Any, name: str, versions: range) -> list[Event]:
    return [
        ledger.finish(client, ledger.begin(client, event(name, version))) for version in versions
    ]


def test_events_are_read_as_they_were_written(any_store: Path) -> None:
    client = store.client(any_store)
    long = {"predictions": ["π" * 7, 0.1] * TAG_LENGTH, "nothing": None}
    kwargs: dict[str, Any] = {
        "reason": 'Gründe, "and" a line\nmore ' * TAG_LENGTH,
        "evidence": long,
        "flow_run": "0" * 36,
        "forced": True,
        "moves": {"candidate": (None, 2), "production": (1, None)},
        "request": "f" * 32,
        "expires": "2031-01-01T00:00:00.000+00:00",
    }
    name = f"long-{any_store.name}"
    begun = ledger.begin(client, event(name, **kwargs))
    assert ledger.events(client, name) == []
    assert ledger.read(client, name).unfinished == [begun]
    finished = ledger.finish(client, begun)
    assert ledger.events(client, name) == [finished]
    assert broken(client, name) is None
    assert finished == replace(
        event(name, **kwargs),
        id=begun.id,
        time=begun.time,
        index=0,
        hash=finished.digest(),
    )
    (line,) = history.as_json_lines([finished], NOW).splitlines()
    printed = json.loads(line)
    assert printed["evidence"] == long
    assert printed["hash"] == finished.hash
    assert (printed["version_from"], printed["version_to"]) == (1, None)


def test_the_order_is_that_of_finishing_whatever_the_clocks_say(made_store: Path) -> None:
    client = store.client(made_store)
    first, second = (ledger.begin(client, event("order", number)) for number in (1, 2))
    ledger.finish(client, second)
    ledger.finish(client, first)
    read = ledger.events(client, "order")
    assert [(event.index, event.version) for event in read] == [(0, 2), (1, 1)]
    assert read[1].previous == read[0].hash
    assert broken(client, "order") is None


@pytest.mark.parametrize(
    ("evidence", "hashes"),
    [
        ({}, None),
        ({"action": "promote", "evidence": {}, "expires": 'a\t"\n'}, {"1": "", "2": "ü"}),
    ],
)
def test_a_line_of_the_copy_is_the_event_with_its_hash(evidence: Any, hashes: Any) -> None:
    written = event("line", evidence=evidence, model_hashes=hashes, id="0" * 32, index=0)
    written = replace(written, hash=written.digest())
    line = written.to_line()
    read = Event.from_line(line)
    assert (read, read.to_line(), read.digest()) == (written, line, written.hash)
    assert (read.tags(), read.as_json()) == (written.tags(), written.as_json())
    assert Event.from_line(line.replace(b"better", b"worse")).hash != written.hash
    for damaged in (line[:-5], line.replace(b"\t", b" "), b"", b"[]\t{}\t", b"{\t{}\t}"):
        with pytest.raises(ValueError, match=r"."):
            Event.from_line(damaged)


def test_time_does_not_run_backwards_when_a_clock_does(made_store: Path) -> None:
    client, ahead = store.client(made_store), datetime.now(UTC) + timedelta(days=9)
    with patch.object(ledger, "datetime", wraps=datetime) as clock:
        clock.now.return_value = ahead
        first = ledger.finish(client, ledger.begin(client, event("clock")))
    asked = replace(event("clock"), action="request", expires=utc_iso(datetime.now(UTC) + HOUR))
    second = ledger.finish(client, ledger.begin(client, asked))
    assert first.time == second.time == utc_iso(ahead)
    assert client.get_run(second.id).info.start_time == milliseconds(from_iso(first.time))
    assert abs(from_iso(second.expires or "") - (ahead + HOUR)) < timedelta(minutes=1)
    assert ledger.events(client, "clock") == [first, second]
    assert broken(client, "clock") is None


def test_an_event_is_finished_once(made_store: Path) -> None:
    client = store.client(made_store)
    begun = ledger.begin(client, event("once"))
    ledger.abandon(client, begun, "somebody was quicker")
    for act in (ledger.finish, partial(ledger.abandon, why="too late")):
        with pytest.raises(PipelineError, match="closed by another process"):
            act(client, begun)
    assert ledger.events(client, "once") == []
    note = client.get_run(begun.id).data.tags["mlflow.note.content"]
    assert note.startswith("Not done: somebody was quicker")


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("reason", "worse"),
        ("who", "bob@host"),
        ("time", "2001-01-01T00:00:00.000+00:00"),
        ("forced", "true"),
        ("moves", '{"production": [1, 3]}'),
        ("reason.1", "more"),
        ("flow_run", "never"),
        ("hash", "0" * 64),
        ("previous", "0" * 64),
    ],
)
def test_an_edited_tag_is_noticed(made_store: Path, tag: str, value: str) -> None:
    name = f"edited-{tag}"
    client = store.client(made_store)
    events = write(client, name, range(1, 4))
    client.set_tag(events[1].id, tag, value)
    assert (broken(client, name) or "").startswith(f"event 1 (run {events[1].id}) is not")
    with pytest.raises(
        PipelineError, match="is not intact: event 1 .*backup.*rename the experiment"
    ):
        ledger.read_intact(client, name)


def test_an_event_that_was_edited_with_its_hash_is_noticed(made_store: Path) -> None:
    client = store.client(made_store)
    _, second, third = write(client, "forged", range(1, 4))
    forged = replace(second, reason="worse")
    client.set_tag(second.id, "reason", "worse")
    client.set_tag(second.id, "hash", forged.digest())
    assert broken(client, "forged") == (
        f"event 2 (run {third.id}) does not follow the event before it"
    )


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_deleted_event_is_noticed_also_the_last_one(made_store: Path, index: int) -> None:
    name = f"deleted-{index}"
    client = store.client(made_store)
    events = write(client, name, range(1, 4))
    client.delete_run(events[index].id)
    assert (broken(client, name) or "").startswith(f"event {index}")
    client.restore_run(events[index].id)
    assert broken(client, name) is None


def test_an_edited_or_deleted_head_is_noticed(made_store: Path) -> None:
    client = store.client(made_store)
    first, second = write(client, "headless", range(1, 3))
    experiment = store.experiment(client, "headless-ledger")
    client.set_experiment_tag(experiment, "head", f"0 {first.hash} {first.id}")
    problem = broken(client, "headless") or ""
    assert f"and not '1 {second.hash} {second.id}': it was edited" in problem
    client.delete_experiment_tag(experiment, "head")
    assert (broken(client, "headless") or "").startswith("the experiment's tag head is None and")
    client.set_experiment_tag(experiment, "head", f"1 {second.hash} {second.id}")
    assert broken(client, "headless") is None


@pytest.mark.parametrize("status", ["RUNNING", "FAILED"])
def test_an_event_whose_run_was_not_closed_is_in_the_chain_if_the_head_names_it(
    made_store: Path, status: str
) -> None:
    name = f"unclosed-{status}"
    client = store.client(made_store)
    first, last = write(client, name, range(1, 3))
    client.update_run(last.id, status)  # killed in between, or closed by one that was suspended
    current = ledger.read(client, name)
    assert (current.events, current.unfinished, current.broken) == ([first, last], [], None)
    ledger.close_last(client, current)
    assert client.get_run(last.id).info.status == "FINISHED"
    assert ledger.read(client, name) == current


def test_nan_and_infinity_in_evidence_are_written_as_null(made_store: Path) -> None:
    client = store.client(made_store)
    evidence = {"metrics": {"loss": float("nan"), "top2": float("-inf"), "size_bytes": 1}}
    finished = ledger.finish(client, ledger.begin(client, event("nan", evidence=evidence)))
    assert ledger.events(client, "nan") == [finished]
    assert finished.evidence == {"metrics": {"loss": None, "top2": None, "size_bytes": 1}}


def test_a_run_that_was_finished_by_hand_is_noticed(made_store: Path) -> None:
    client = store.client(made_store)
    write(client, "by-hand", range(1, 2))
    begun = ledger.begin(client, event("by-hand", 2))
    client.set_terminated(begun.id)
    assert broken(client, "by-hand") == (
        f"run {begun.id} was finished by hand: no event's index is in its tags"
    )


@pytest.mark.parametrize(
    ("tag", "value"), [("moves", "everywhere"), ("evidence.1", "more"), ("version", "")]
)
def test_a_run_that_is_no_event_is_named(made_store: Path, tag: str, value: str) -> None:
    name = f"no-event-{tag}"
    client = store.client(made_store)
    (written,) = write(client, name, range(1, 2))
    client.set_tag(written.id, tag, value)
    with pytest.raises(PipelineError, match=f"run {written.id} holds no readable event .*backup"):
        ledger.events(client, name)


def test_a_deleted_ledger_is_not_an_empty_one(made_store: Path) -> None:
    client = store.client(made_store)
    write(client, "all", range(1, 2))
    client.delete_experiment(store.experiment(client, "all-ledger"))
    with pytest.raises(PipelineError, match="all-ledger is deleted: restore it"):
        ledger.events(client, "all")


def test_the_table_says_what_moved_and_who_moved_it() -> None:
    events = [
        Event("promote", "m", 1, {"production": (None, 1)}, "ann@host", "the first", index=0),
        Event("refuse", "m", 2, {}, "bob@host", "no", flow_run="7", index=1),
        Event("promote", "m", 2, {"production": (1, 2)}, "ann@host", "so", forced=True, index=2),
        Event("found", "m", None, {"production": (2, None)}, "unknown", "gone", index=3),
    ]
    events = [replace(event, time="2031-01-02T03:04:05.678+00:00") for event in events]
    assert history.as_table(events, NOW).splitlines() == [
        "#  TIME (UTC)           ACTION            VERSION  PRODUCTION  WHO       WHY",
        "0  2031-01-02 03:04:05  promote           1        – → 1       ann@host  the first",
        "1  2031-01-02 03:04:05  refuse            2                    bob@host  no (flow run 7)",
        "2  2031-01-02 03:04:05  promote (forced)  2        1 → 2       ann@host  so",
        "3  2031-01-02 03:04:05  found             –        2 → –       unknown   gone",
    ]
    assert history.as_table([], NOW) == "no promotions yet"
