"""What the ledger is asked about each of its verdicts is read without the rest of the verdict."""

from dataclasses import replace
from typing import Any

import pytest

from resnet.errors import PipelineError
from resnet.registry.ledger import queries
from resnet.registry.ledger.event import Event, LazyJson
from resnet.registry.versions import VersionId

VERDICT = {
    "version": 2,
    "against": 1,
    "test_hash": "t",
    "uses": 3,
    "metrics": {"accuracy": 0.9, "loss": 0.3},
    "comparison": {"production": 0.8, "recalls": [{"name": "cat", "production": 0.7}]},
    "rules": [{"name": "floor", "passed": True, "text": "accuracy 90.00%"}],
}


def event(evidence: dict[str, Any]) -> Event:
    first = Event("promote", "m", 2, {"production": (1, 2)}, "ann@host", "why", index=0)
    return replace(first, evidence=evidence, model_hashes={"1": "a", "2": "b"})


def kept(evidence: dict[str, Any]) -> Event:
    """The event as a checkout keeps it."""
    return Event.from_line(event(evidence).to_line())


def test_a_kept_verdict_answers_as_the_one_in_the_store() -> None:
    assert kept(VERDICT).judgement == event(VERDICT).judgement
    without = {**VERDICT, "metrics": {"accuracy": None}, "comparison": None}
    for history in ([event(VERDICT), event(without)], [kept(VERDICT), kept(without)]):
        accuracies = {VersionId(2, "b"): {"t": 0.9}, VersionId(1, "a"): {"t": 0.8}}
        assert queries.accuracies(history) == accuracies
        assert (queries.uses(history, "t"), queries.uses(history, "other")) == (3, 0)


def test_what_the_gate_asks_of_every_verdict_parses_none_of_them_whole() -> None:
    history = [kept(VERDICT) for _ in range(3)]
    queries.accuracies(history)
    queries.uses(history, "t")
    evidence = [event.evidence for event in history]
    assert [isinstance(one, LazyJson) and not one.is_parsed for one in evidence] == [True] * 3
    assert evidence[0]["rules"] == VERDICT["rules"]


def test_an_event_without_a_verdict_has_no_judgement() -> None:
    for one in (event({}), kept({}), kept({"key": "k"})):
        assert one.judgement is None
        assert queries.accuracies([one]) == {}


def test_a_verdict_that_cannot_be_read_is_named() -> None:
    for one in (event({"test_hash": "t"}), kept({**VERDICT, "uses": "many"})):
        with pytest.raises(
            PipelineError, match=r"verdict in event 0 \(promote 2, .*cannot be read"
        ):
            queries.uses([one], "t")
