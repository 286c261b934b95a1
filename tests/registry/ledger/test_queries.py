"""What a ledger's events tell, as pure functions of them."""

from typing import Any

from resnet.registry.ledger import queries
from resnet.registry.ledger.event import Event


def test_a_decision_is_one_of_the_gate_by_its_key_or_of_who_took_a_version_out() -> None:
    def one(action: Any, version: int | None, moves: Any = None, key: str | None = None) -> Event:
        return Event(
            action, "m", version, moves or {}, "ann", "why", evidence={"key": key} if key else {}
        )

    for action in ("promote", "refuse", "request", "approve"):
        told = [one(action, 2, key="k")]
        assert queries.has_decided(told, 2, "k")
        assert not queries.has_decided(told, 2, "another")
        assert not queries.has_decided(told, 1, "k")
    into = {"production": (2, 1)}
    assert queries.has_decided([one("rollback", 1, into)], 2, "k")
    assert queries.has_decided([one("found", 1, into)], 2, "k")
    assert not queries.has_decided([one("promote", 1, into, key="k")], 2, "k")
    assert not queries.has_decided([one("rollback", 1, into)], 1, "k")


def test_versions_are_in_production_until_they_are_rolled_back() -> None:
    def move(action: Any, before: int | None, after: int | None) -> Event:
        moves = {"production": (before, after)}
        return Event(action, "m", after, moves, "ann@host", "why")

    refused = Event("refuse", "m", 9, {}, "ann@host", "why")
    told = [move("promote", None, 1), move("promote", 1, 2), refused, move("promote", 2, 3)]
    assert queries.succession(told) == [1, 2, 3]
    told += [move("found", 3, 5), move("restore", 5, 5)]
    assert queries.succession(told) == [1, 2, 3, 5]
    told += [move("rollback", 5, 2)]
    assert queries.succession(told) == [1, 2]
    told += [move("found", 2, None), move("restore", None, 2)]
    assert queries.succession(told) == [1, 2]
    assert queries.last_move([*told, refused]) == told[-1]
    assert queries.last_move([refused]) is None


def test_the_last_decision_about_a_version_is_the_last_event_with_what_the_gate_said() -> None:
    first, second = (
        Event("request", "m", 2, {}, "ann", why, evidence={"key": "k"}) for why in ("a", "b")
    )
    answer = Event("reject", "m", 2, {}, "ann", "no")
    other = Event("promote", "m", 3, {}, "ann", "c", evidence={"key": "k"})
    assert queries.last_decision([first, second, answer, other], 2) == second
    assert queries.last_decision([answer], 2) is None


def test_what_became_of_a_version_is_the_last_event_about_it_or_that_moved_it_in_or_out() -> None:
    def one(action: Any, version: int | None, **moves: Any) -> Event:
        return Event(action, "m", version, moves, "ann", "why")

    told = [one("request", 2, candidate=(1, 2)), one("reject", 2)]
    assert queries.last_outcome(told, 2) == told[1]
    told += [one("promote", 3, candidate=(2, 3), production=(1, 3))]
    assert queries.last_outcome(told, 1) == queries.last_outcome(told, 3) == told[2]
    assert queries.last_outcome(told, 2) == told[1]  # that it is the candidate no more says nothing
    told += [one("found", None, production=(3, None))]
    assert queries.last_outcome(told, 3) == told[3]
    assert queries.last_outcome(told, 4) is None
