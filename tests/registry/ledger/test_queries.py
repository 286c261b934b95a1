"""Queries of the ledger are pure functions of its events."""

from collections.abc import Iterable
from typing import Any

from resnet.registry.ledger import queries
from resnet.registry.ledger.event import Event
from resnet.registry.versions import VersionId


def of(number: int, model_hash: str | None = None) -> VersionId:
    return VersionId(number, model_hash)


def numbers(ids: Iterable[VersionId]) -> list[int]:
    return [id.number for id in ids]


def test_a_decision_is_one_of_the_gate_by_its_key_or_of_who_took_a_version_out() -> None:
    def event(action: Any, version: int | None, moves: Any = None, key: str | None = None) -> Event:
        return Event(
            action, "m", version, moves or {}, "ann", "why", evidence={"key": key} if key else {}
        )

    for action in ("promote", "refuse", "request", "approve"):
        history = [event(action, 2, key="k")]
        assert queries.has_decided(history, of(2), "k")
        assert not queries.has_decided(history, of(2), "another")
        assert not queries.has_decided(history, of(1), "k")
    into = {"production": (2, 1)}
    assert queries.has_decided([event("rollback", 1, into)], of(2), "k")
    assert queries.has_decided([event("found", 1, into)], of(2), "k")
    assert not queries.has_decided([event("promote", 1, into, key="k")], of(2), "k")
    assert not queries.has_decided([event("rollback", 1, into)], of(1), "k")


def test_versions_are_in_production_until_they_are_rolled_back() -> None:
    def move(action: Any, before: int | None, after: int | None) -> Event:
        moves = {"production": (before, after)}
        return Event(action, "m", after, moves, "ann@host", "why")

    refused = Event("refuse", "m", 9, {}, "ann@host", "why")
    history = [move("promote", None, 1), move("promote", 1, 2), refused, move("promote", 2, 3)]
    assert numbers(queries.succession(history)) == [1, 2, 3]
    history += [move("found", 3, 5), move("restore", 5, 5)]
    assert numbers(queries.succession(history)) == [1, 2, 3, 5]
    history += [move("rollback", 5, 2)]
    assert numbers(queries.succession(history)) == [1, 2]
    history += [move("found", 2, None), move("restore", None, 2)]
    assert numbers(queries.succession(history)) == [1, 2]
    assert queries.last_move([*history, refused]) == history[-1]
    assert queries.last_move([refused]) is None


def test_the_last_decision_about_a_version_is_its_last_event_with_a_verdict() -> None:
    first, second = (
        Event("request", "m", 2, {}, "ann", why, evidence={"key": "k"}) for why in ("a", "b")
    )
    answer = Event("reject", "m", 2, {}, "ann", "no")
    other = Event("promote", "m", 3, {}, "ann", "c", evidence={"key": "k"})
    assert queries.last_decision([first, second, answer, other], of(2)) == second
    assert queries.last_decision([answer], of(2)) is None


def test_the_last_outcome_of_a_version_is_the_last_event_that_concerns_it() -> None:
    def event(action: Any, version: int | None, **moves: Any) -> Event:
        return Event(action, "m", version, moves, "ann", "why")

    history = [event("request", 2, candidate=(1, 2)), event("reject", 2)]
    assert queries.last_outcome(history, of(2)) == history[1]
    history += [event("promote", 3, candidate=(2, 3), production=(1, 3))]
    assert (
        queries.last_outcome(history, of(1)) == queries.last_outcome(history, of(3)) == history[2]
    )
    # A new candidate says nothing about the former one.
    assert queries.last_outcome(history, of(2)) == history[1]
    history += [event("found", None, production=(3, None))]
    assert queries.last_outcome(history, of(3)) == history[3]
    assert queries.last_outcome(history, of(4)) is None


def test_the_number_of_a_deleted_version_that_was_given_again_is_another_version() -> None:
    def event(action: Any, moves: Any, model_hash: str | None, **values: Any) -> Event:
        hashes = {"1": model_hash} if model_hash else None
        moves = {"production": moves} if moves else {}
        return Event(action, "m", 1, moves, "ann", "why", model_hashes=hashes, **values)

    def verdict(model_hash: str, accuracy: float) -> dict[str, Any]:
        about = {"version": 1, "against": None, "model_hash": model_hash, "key": "k"}
        metrics = {"accuracy": accuracy}
        return {**about, "metrics": metrics, "comparison": None, "test_hash": "t", "uses": 1}

    old, new = of(1, "old"), of(1, "new")
    history = [
        event("promote", (None, 1), None, evidence=verdict("old", 0.9)),  # by an earlier release
        event("restore", (None, 1), None),
    ]
    assert queries.named_by(history) == old
    assert not old.is_same(new)
    assert queries.has_decided(history, old, "k")
    assert not queries.has_decided(history, new, "k")
    assert queries.last_outcome(history, new) is queries.last_decision(history, new) is None
    history += [
        Event("found", "m", None, {"production": (1, None)}, "a", "b", model_hashes={"1": "old"}),
        event("promote", (None, 1), "new", evidence=verdict("new", 0.5)),
    ]
    assert not queries.has_decided(history[:3], new, "k")
    assert queries.named_by(history) == new
    assert queries.succession(history) == [old, new]
    assert queries.ever_in_production(history, new) == {old, new}
    assert queries.accuracies(history) == {old: {"t": 0.9}, new: {"t": 0.5}}
    assert queries.last_outcome(history, old) == history[2]
