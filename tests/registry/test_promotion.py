"""Promotion and rollback in a real SQLite store."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resnet import params
from resnet.errors import MovedError, PipelineError
from resnet.registry import gate, ledger, promotion, store, versions
from resnet.registry.promotion import Decision, rollback
from resnet.registry.verdict import Verdict

GATE = params.load(Path(__file__).parents[2]).gate
Register = Callable[..., int]


def promote(root: Path, name: str, selector: str | int, **words: Any) -> Decision:
    """Ask the gate, and do as it says."""
    return promotion.promote(root, gate.judge(root, name, selector, GATE), **words)


def production(root: Path, name: str) -> int | None:
    found = versions.with_alias(store.client(root), name, versions.PRODUCTION)
    return found.number if found else None


def test_promotions_and_rollbacks_move_production_and_the_ledger_tells_them(
    made_store: Path, register: Register
) -> None:
    name = "moves"
    client = store.client(made_store)
    first, better, worse = (register(name, correct) for correct in (8000, 8200, 7850))

    assert promote(made_store, name, first, reason="the first").promoted
    assert promote(made_store, name, "latest", reason="a try").promoted is False
    assert production(made_store, name) == first
    assert promote(made_store, name, better, reason="better", who="ann@host").promoted
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
    with pytest.raises(PipelineError, match="no other version than 1"):
        rollback(made_store, name, reason="too far")
    rollback(made_store, name, reason="on again", to=worse)

    history = ledger.history(made_store, name)
    assert [(event.action, event.version_from, event.version_to) for event in history] == [
        ("promote", None, 1),
        ("refuse", 1, 3),
        ("promote", 1, 2),
        ("promote", 2, 3),
        ("rollback", 3, 2),
        ("rollback", 2, 1),
        ("rollback", 1, 3),
    ]
    assert history[2].who == "ann@host"
    assert "@" in history[0].who
    assert history[0].evidence["passed"] is True
    assert Verdict.from_dict(history[1].evidence).passed is False
    lines = [json.loads(line) for line in ledger.as_json_lines(history).splitlines()]
    assert lines[3]["forced"] is True
    assert "promote (forced)" in ledger.as_table(history)


def test_a_verdict_holds_until_production_moves(made_store: Path, register: Register) -> None:
    name = "judged"
    first, second, third = (register(name, correct) for correct in (8000, 8200, 8150))
    promote(made_store, name, first, reason="the first")
    verdict = gate.judge(made_store, name, third, GATE)
    assert verdict.against == first
    promote(made_store, name, second, reason="quicker")
    with pytest.raises(MovedError, match=r"compared judged version 3 with version 1.*ask the gate"):
        promotion.promote(made_store, verdict, reason="a try")
    assert production(made_store, name) == second


def test_a_decision_is_noted_with_the_version_for_its_rules_alone(
    made_store: Path, register: Register
) -> None:
    name = "noted"
    client = store.client(made_store)
    version = register(name, 7000)
    promote(made_store, name, version, reason="a try")
    noted = versions.resolve(client, name, version)
    assert noted.decision == "refused"
    assert noted.decision_key == gate.decision_key(GATE, noted.test_hash)
    other = GATE.model_copy(update={"floor": 0.6})
    assert noted.decision_key != gate.decision_key(other, noted.test_hash)


def test_a_damaged_model_never_comes_into_production(made_store: Path, register: Register) -> None:
    name = "damaged"
    client = store.client(made_store)
    version = versions.resolve(client, name, register(name))
    attached = store.local_artifacts(made_store) / name / version.run_id / "artifacts/model.keras"
    attached.write_bytes(attached.read_bytes() + b"!")
    with pytest.raises(PipelineError, match="artifact is damaged"):
        promote(made_store, name, version.number, reason="a try", force=True)
    assert production(made_store, name) is None
    assert ledger.history(made_store, name) == []


def test_a_move_that_was_killed_halfway_is_settled_by_the_next_one(
    made_store: Path, register: Register
) -> None:
    name = "killed"
    client = store.client(made_store)
    first, second = register(name), register(name)
    words = {"who": None, "reason": "killed"}
    ledger.begin(client, name, "promote", None, second, **words)  # and never moved
    ledger.begin(client, name, "promote", None, first, **words)
    client.set_registered_model_alias(name, versions.PRODUCTION, str(first))  # and never finished
    assert ledger.history(made_store, name) == []
    promote(made_store, name, first, reason="again")
    assert [event.version_to for event in ledger.history(made_store, name)] == [first]


def test_an_empty_reason_and_an_unknown_version_are_refused(
    made_store: Path, register: Register
) -> None:
    name = "wrong"
    number = register(name)
    with pytest.raises(PipelineError, match="reason is empty"):
        promote(made_store, name, number, reason="  ")
    with pytest.raises(PipelineError, match="no version '9'; its newest is 1"):
        promote(made_store, name, 9, reason="a try")
    with pytest.raises(PipelineError, match="no version 'production'"):
        versions.resolve(store.client(made_store), name, "production")
    with pytest.raises(PipelineError, match="no version in production"):
        rollback(made_store, name, reason="a try")
    with pytest.raises(PipelineError, match="it has none: publish one first"):
        versions.resolve(store.client(made_store), "nothing-of-the-kind", "latest")
