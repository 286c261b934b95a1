"""Promotion and rollback in a real SQLite store."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MethodType
from typing import Any

import pytest

from resnet import params
from resnet.errors import MovedError, PipelineError, UnreachableError
from resnet.registry import store, versions
from resnet.registry.card import card
from resnet.registry.gate import gate
from resnet.registry.gate.verdict import Verdict
from resnet.registry.ledger import ledger, lock
from resnet.registry.promotion import alias_move, history, promotion
from resnet.registry.promotion.promotion import Decision
from resnet.registry.promotion.reconcile import reconcile
from tests.support import REPOSITORY

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

GATE = params.load(REPOSITORY).gate
RENEW_CARDS = card.renew_cards  # a fixture replaces it in these tests
Register = Callable[..., int]
Promote = Callable[..., Decision]
Rollback = Callable[..., Any]
Fork = Callable[[Callable[[], object]], int]
Wait = Callable[[int], int]


@pytest.fixture
def promote(check: Callable[..., None]) -> Promote:
    """Ask the gate, and follow its verdict."""

    def do(root: Path, name: str, selector: str | int, **kwargs: Any) -> Decision:
        verdict = gate.judge(root, name, selector, GATE)
        return promotion.promote(root, verdict, check=check, **kwargs)

    return do


@pytest.fixture
def rollback(check: Callable[..., None]) -> Rollback:
    return partial(promotion.rollback, check=check)


def production(root: Path, name: str) -> int | None:
    version = versions.with_alias(store.client(root), name, versions.PRODUCTION)
    return version.number if version else None


def test_promotions_and_rollbacks_move_production_and_are_in_the_ledger(
    made_store: Path, register: Register, promote: Promote, rollback: Rollback
) -> None:
    name = "moves"
    client = store.client(made_store)
    first, better, worse = (register(name, correct) for correct in (8000, 8200, 7850))
    by_ann = {"who": "ann@host", "flow_run": "77"}

    assert promote(made_store, name, first, reason="the first").promoted
    assert promote(made_store, name, "latest", reason="a try").promoted is False
    assert production(made_store, name) == first
    assert promote(made_store, name, better, reason="better", **by_ann).promoted
    assert promote(made_store, name, better, reason="again").event is None
    forced = promote(made_store, name, worse, reason="needed", force=True)
    assert forced.promoted
    assert forced.event is not None
    assert forced.event.forced
    assert versions.resolve(client, name, "candidate").number == better

    rollback(made_store, name, reason="it was a mistake")
    assert production(made_store, name) == better
    rollback(made_store, name, reason="further")
    assert production(made_store, name) == first
    message = r"nothing was in production of moves before version 1: .* as 'to' \(2, 3\)"
    with pytest.raises(PipelineError, match=message):
        rollback(made_store, name, reason="too far")
    rollback(made_store, name, reason="on again", to=worse)

    events, problems = history.read(made_store, name)
    assert problems == []
    assert [(event.action, event.version, dict(event.moves)) for event in events] == [
        ("promote", 1, {"candidate": (None, 1), "production": (None, 1)}),
        ("refuse", 3, {}),
        ("promote", 2, {"candidate": (1, 2), "production": (1, 2)}),
        ("promote", 3, {"production": (2, 3)}),
        ("rollback", 2, {"production": (3, 2)}),
        ("rollback", 1, {"production": (2, 1)}),
        ("rollback", 3, {"production": (1, 3)}),
    ]
    assert (events[2].who, events[2].flow_run) == ("ann@host", "77")
    assert "@" in events[0].who
    assert events[0].evidence["passed"] is True
    assert Verdict.from_dict(events[1].evidence).passed is False
    assert (
        json.loads(history.as_json_lines(events, datetime.now(UTC)).splitlines()[3])["forced"]
        is True
    )


def test_a_move_reads_the_ledger_once_while_it_holds_the_lock(
    made_store: Path,
    register: Register,
    promote: Promote,
    rollback: Rollback,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In two searches: what is new, what is in progress. The model cards are rendered here, too."""
    name = "read-once"
    client = store.client(made_store)
    first, second = register(name), register(name)
    promote(made_store, name, first, reason="the first")
    experiment = store.experiment(client, f"{name}-ledger")
    reads: list[bool] = []  # whether the lock was held

    class CountingClient(store.Client):
        def search_runs(self, experiment_ids: list[str], *args: Any, **kwargs: Any) -> Any:
            if experiment_ids == [experiment]:
                reads.append(lock.Holder.read(client, name) is not None)
            return super().search_runs(experiment_ids, *args, **kwargs)

    monkeypatch.setattr(store, "Client", CountingClient)
    monkeypatch.setattr(card, "renew_cards", RENEW_CARDS)
    promote(made_store, name, second, reason="better")
    assert reads == [
        False,
        True,
        True,
    ]  # the gate's, which had nothing before it, then the promotion's
    reads.clear()
    rollback(made_store, name, reason="a mistake")
    assert reads == [True, True]


def test_a_verdict_holds_until_production_moves(
    made_store: Path, register: Register, promote: Promote
) -> None:
    name = "judged"
    first, second, third = (register(name, correct) for correct in (8000, 8200, 8150))
    promote(made_store, name, first, reason="the first")
    verdict = gate.judge(made_store, name, third, GATE)
    assert verdict.against == first
    promote(made_store, name, second, reason="quicker", who="ann@host")
    message = r"compared judged version 3 with version 1.*ask the gate.*by ann@host: quicker"
    with pytest.raises(MovedError, match=message):
        promotion.promote(made_store, verdict, reason="a try")
    assert production(made_store, name) == second


def test_a_damaged_model_is_never_promoted(
    made_store: Path, register: Register, promote: Promote
) -> None:
    name = "damaged"
    client = store.client(made_store)
    version = versions.resolve(client, name, register(name))
    attached = store.local_artifacts(made_store) / name / version.run_id / "artifacts/model.keras"
    attached.write_bytes(attached.read_bytes() + b"!")
    with pytest.raises(PipelineError, match="artifact is damaged"):
        promote(made_store, name, version.number, reason="a try", force=True)
    assert production(made_store, name) is None
    assert ledger.events(client, name) == []
    assert ledger.read(client, name).unfinished == []


def test_an_empty_reason_and_an_unknown_version_are_refused(
    made_store: Path, register: Register, promote: Promote, rollback: Rollback
) -> None:
    name = "wrong"
    number = register(name)
    with pytest.raises(PipelineError, match="reason must not be empty"):
        promote(made_store, name, number, reason="  ")
    with pytest.raises(PipelineError, match="no version '9'; its newest is 1"):
        promote(made_store, name, 9, reason="a try")
    with pytest.raises(PipelineError, match="no version 'production'"):
        versions.resolve(store.client(made_store), name, "production")
    with pytest.raises(PipelineError, match="no version '²'"):
        promote(made_store, name, "²", reason="a try")
    for to in (None, number):
        with pytest.raises(PipelineError, match="never had a version in production: promote one"):
            rollback(made_store, name, reason="a try", to=to)
    with pytest.raises(
        PipelineError, match="no registered model nothing-of-the-kind: --model takes"
    ):
        versions.resolve(store.client(made_store), "nothing-of-the-kind", "latest")


def test_a_rollback_does_not_bypass_the_gate(
    made_store: Path, register: Register, promote: Promote, rollback: Rollback
) -> None:
    name = "around"
    first, worse = register(name, 8000), register(name, 1000)
    promote(made_store, name, first, reason="the first")
    assert not promote(made_store, name, worse, reason="a try").promoted
    before = history.read(made_store, name)
    with pytest.raises(PipelineError, match="2 was never in production.*'resnet promote 2'"):
        rollback(made_store, name, reason="a try", to=worse)
    with pytest.raises(PipelineError, match="before version 1: promote another version"):
        rollback(made_store, name, reason="a try")
    assert (production(made_store, name), history.read(made_store, name)) == (first, before)


def test_a_rollback_to_something_that_is_no_version_is_not_one_to_the_previous_version(
    made_store: Path, register: Register, promote: Promote, rollback: Rollback
) -> None:
    name = "falsy"
    for number in (register(name), register(name)):
        promote(made_store, name, number, reason="a version")
    with pytest.raises(PipelineError, match="no version '0'"):
        rollback(made_store, name, reason="a try", to=0)
    for to in ("", " "):
        with pytest.raises(PipelineError, match="is empty: give its number or an alias, or omit"):
            rollback(made_store, name, reason="a try", to=to)
    assert production(made_store, name) == 2


@pytest.mark.parametrize("to", [None, 1])
def test_a_rollback_is_possible_after_the_version_in_production_was_deleted(
    made_store: Path,
    register: Register,
    promote: Promote,
    rollback: Rollback,
    check: Callable[..., None],
    to: int | None,
) -> None:
    name = f"deleted-{to}"
    client = store.client(made_store)
    for number in (register(name), register(name), register(name)):
        promote(made_store, name, number, reason=f"number {number}")
    for number in (2, 3):
        client.delete_model_version(name, str(number))
    reconcile(made_store, name, accept=True, reason="deleted by mistake", check=check)
    assert production(made_store, name) is None
    event = rollback(made_store, name, reason="the last that is there", to=to)
    assert event.moves == {"production": (None, 1)}
    assert production(made_store, name) == 1
    assert history.read(made_store, name)[1] == []
    client.delete_model_version(name, "1")
    reconcile(made_store, name, accept=True, reason="deleted as well", check=check)
    with pytest.raises(PipelineError, match=r"before are deleted \(1\): promote another version"):
        rollback(made_store, name, reason="too far")


def test_a_version_that_fails_its_check_leaves_a_note_and_no_event(
    made_store: Path, register: Register, promote: Promote
) -> None:
    name = "interrupted"
    client = store.client(made_store)
    version = register(name)

    def interrupted(root: Path, client: Any, version: versions.Version) -> None:
        raise KeyboardInterrupt

    verdict = gate.judge(made_store, name, version, GATE)
    with pytest.raises(KeyboardInterrupt):
        promotion.promote(made_store, verdict, reason="a try", check=interrupted)
    assert production(made_store, name) is None
    assert versions.with_alias(client, name, "candidate") is None
    assert history.read(made_store, name) == ([], [])
    assert promote(made_store, name, version, reason="again").promoted


def test_an_alias_that_is_changed_during_the_check_is_left_as_it_is(
    made_store: Path, register: Register, promote: Promote
) -> None:
    name = "meanwhile"
    first, second, third = (register(name) for _ in range(3))
    promote(made_store, name, first, reason="the first")

    def moves(root: Path, client: Any, version: versions.Version) -> None:
        client.set_registered_model_alias(name, "production", str(third))

    verdict = gate.judge(made_store, name, second, GATE)
    with pytest.raises(MovedError, match="production names version 3 and not 1"):
        promotion.promote(made_store, verdict, reason="a try", check=moves)
    assert production(made_store, name) == third
    with pytest.raises(
        PipelineError, match="production names version 3, .* name version 1: changed"
    ):
        promote(made_store, name, second, reason="a try")


def test_a_store_that_fails_between_two_aliases_leaves_the_rest_to_the_next_move(
    made_store: Path, register: Register, promote: Promote, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "half"
    client = store.client(made_store)
    first, second = register(name), register(name)
    promote(made_store, name, first, reason="the first")
    set_alias = alias_move.set_alias

    def fails(client: Any, name: str, alias: str, number: int | None) -> None:
        if alias == "production":
            raise MlflowException("the disk is full")
        set_alias(client, name, alias, number)

    with monkeypatch.context() as patched, pytest.raises(MlflowException, match="disk is full"):
        patched.setattr(alias_move, "set_alias", fails)
        promote(made_store, name, second, reason="a try")
    assert versions.resolve(client, name, "candidate").number == second
    assert production(made_store, name) == first
    assert "unfinished: promote 2" in history.read(made_store, name)[1][0]
    assert promote(made_store, name, second, reason="again").promoted
    assert [event.reason for event in ledger.events(client, name)] == ["the first", "again"]


def test_a_store_that_goes_away_during_a_move_is_named_and_the_move_can_be_repeated(
    made_store: Path,
    register: Register,
    promote: Promote,
    check: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fork: Fork,
    wait: Wait,
) -> None:
    name = "gone"
    number = register(name)
    verdict = gate.judge(made_store, name, number, GATE)
    message = tmp_path / "message"

    def fails(client: Any, *args: Any, **kwargs: Any) -> Any:
        raise MlflowException("API request failed: connection refused\nand so on")

    def goes_away(root: Path, client: Any, version: versions.Version) -> None:
        for method, function in vars(MlflowClient).items():
            if callable(function) and not method.startswith("_"):
                setattr(client, method, MethodType(fails, client))

    def promote_it() -> None:
        with pytest.raises(UnreachableError) as caught:
            promotion.promote(made_store, verdict, reason="a try", check=goes_away)
        message.write_text(str(caught.value))

    assert wait(fork(promote_it)) == 0
    assert "does not answer (API request failed: connection refused): " in message.read_text()
    assert promote(made_store, name, number, reason="again").promoted
    assert [event.reason for event in ledger.events(store.client(made_store), name)] == ["again"]


def test_of_two_promotions_at_once_one_wins_and_the_other_says_who(
    made_store: Path,
    register: Register,
    promote: Promote,
    check: Callable[..., None],
    tmp_path: Path,
    fork: Fork,
    wait: Wait,
) -> None:
    name = "race"
    first, *others = (register(name) for _ in range(3))
    promote(made_store, name, first, reason="the first")
    verdicts = {number: gate.judge(made_store, name, number, GATE) for number in others}

    def race(number: int) -> None:
        report = tmp_path / str(number)
        try:
            promotion.promote(
                made_store, verdicts[number], reason="fast", who=f"runner-{number}", check=check
            )
            report.write_text("won")
        except MovedError as error:
            report.write_text(str(error))

    children = [fork(partial(race, number)) for number in others]
    assert [wait(child) for child in children] == [0, 0]
    outcomes = {number: (tmp_path / str(number)).read_text() for number in others}
    (winner,) = (number for number in others if outcomes[number] == "won")
    (loser,) = set(others) - {winner}
    assert production(made_store, name) == winner
    assert f"by runner-{winner}: fast" in outcomes[loser]
    assert [event.version for event in ledger.events(store.client(made_store), name)] == [1, winner]


def test_a_retraining_asks_the_gate_again_if_production_moved_in_between(
    made_store: Path,
    register: Register,
    promote: Promote,
    check: Callable[..., None],
    parameters: params.Params,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from flows import retrain

    name = "retrained"
    first, other, mine = (register(name, correct) for correct in (8000, 8010, 8020))
    promote(made_store, name, first, reason="the first")
    verdicts, real = [], promotion.promote

    def interrupted(root: Path, verdict: Verdict, **kwargs: Any) -> Decision:
        verdicts.append(verdict)
        if len(verdicts) == 1:
            quicker = gate.judge(made_store, name, other, GATE)
            real(made_store, quicker, reason="quicker", check=check)
        return real(root, verdict, **kwargs)

    monkeypatch.setattr(promotion, "promote", interrupted)
    monkeypatch.setattr(retrain, "retried_task", lambda function, name: function)
    monkeypatch.setattr(retrain, "get_run_logger", logging.getLogger)
    version = versions.resolve(store.client(made_store), name, mine)
    decide = partial(retrain._decide, made_store, parameters, version, "if-better", "a test", check)
    assert retrain._retry_if_moved(decide).promoted
    assert [verdict.against for verdict in verdicts] == [first, other]
    assert production(made_store, name) == mine
