"""Ask, approve and reject in a real SQLite store."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from resnet import cli, params
from resnet.errors import MovedError, PipelineError
from resnet.evaluation.records import Evaluation
from resnet.export.report import PortableReport
from resnet.registry import relocation, store, versions
from resnet.registry.gate import gate
from resnet.registry.gate.verdict import Verdict
from resnet.registry.ledger.event import Event
from resnet.registry.promotion import approval, history, promotion, reconcile
from resnet.registry.promotion.promotion import Decision
from resnet.registry.promotion.request import Request, requests
from resnet.registry.promotion.status import status
from resnet.system import files
from tests.support import REPOSITORY

GATE = params.load(REPOSITORY).gate
NOTHING_PASSES = GATE.model_copy(update={"floor": 1.0})  # whoever asks this gate is refused
Register = Callable[..., int]
Act = Callable[..., Decision]
Evaluate = Callable[..., Evaluation]
Asked = Callable[..., list[Any]]
Save = Callable[[], Callable[[], None]]


@pytest.fixture(scope="module")
def ask(check: Callable[..., None]) -> Act:
    def do(root: Path, name: str, version: int, hours: float = 72, **kwargs: Any) -> Decision:
        verdict = gate.judge(root, name, version, kwargs.pop("rules", GATE))
        until = datetime.now(UTC) + timedelta(hours=hours)
        return approval.ask(
            root, verdict, until=until, **{"reason": "retrain", "check": check, **kwargs}
        )

    return do


@pytest.fixture
def approve(check: Callable[..., None]) -> Act:
    return partial(approval.approve, check=check)


@pytest.fixture(scope="module")
def promote(check: Callable[..., None]) -> Act:
    def do(root: Path, name: str, version: int, **kwargs: Any) -> Decision:
        verdict = gate.judge(root, name, version, GATE)
        return promotion.promote(root, verdict, check=check, **kwargs)

    return do


@pytest.fixture(scope="module")
def asked(
    made_store: Path,
    register: Register,
    promote: Act,
    ask: Act,
    save: Save,
) -> Asked:
    """The name and the versions of a model of which the first is in production.

    Approval of the others was requested. It is restored for each test, whatever others have done.
    """

    @cache
    def register_and_ask(name: str, correct: tuple[int, ...]) -> Callable[[], None]:
        numbers = [register(name, count) for count in correct]
        assert numbers == [*range(1, 1 + len(correct))]
        promote(made_store, name, 1, reason="the first")
        for number in numbers[1:]:
            assert ask(made_store, name, number).request is not None
        return save()

    def restore(*correct: int) -> list[Any]:
        correct = correct or (8000, 8050)
        name = "-".join(map(str, ("asked", *correct)))
        register_and_ask(name, correct)()
        return [name, *range(1, 1 + len(correct))]

    return restore


def unchecked(root: Path, client: Any, version: versions.Version) -> None:
    """A check that every version passes."""


def register_elsewhere(client: Any, name: str) -> int:
    return int(client.create_model_version(name, "runs:/none/model.keras").version)


def aliases(root: Path, name: str) -> dict[str, int]:
    numbers = store.client(root).get_registered_model(name).aliases
    return {alias: int(number) for alias, number in numbers.items()}


def events(root: Path, name: str) -> list[Event]:
    events, problems = history.read(root, name)
    assert problems == []
    return events


def requests_of(root: Path, name: str) -> list[Request]:
    return requests(events(root, name), datetime.now(UTC))


def test_a_request_keeps_the_verdict_and_moves_the_candidate_alone(
    made_store: Path, register: Register, promote: Act, ask: Act
) -> None:
    name = "asked"
    first, second = register(name, 8000), register(name, 8050)
    promote(made_store, name, first, reason="the first")
    decision = ask(made_store, name, second, reason="a retrain", who="ann@host", flow_run="77")
    assert not decision.promoted
    assert decision.request is not None
    assert decision.request.is_open
    assert str(decision).startswith(f"{decision.request}\nPASS  floor: ")
    assert aliases(made_store, name) == {"production": first, "candidate": second}

    event = events(made_store, name)[-1]
    assert event == decision.event == decision.request.event
    assert (event.action, event.version, event.who) == ("request", second, "ann@host")
    assert (event.reason, event.flow_run) == ("a retrain", "77")
    assert event.moves == {"candidate": (first, second)}
    assert decision.request.verdict == decision.verdict
    assert event.expires is not None
    waits = datetime.fromisoformat(event.expires) - datetime.fromisoformat(event.time)
    assert timedelta(hours=71.9) < waits <= timedelta(hours=72)


def test_asking_again_makes_no_second_request(made_store: Path, asked: Asked, ask: Act) -> None:
    name, _, second = asked()
    before = events(made_store, name)
    again = ask(made_store, name, second)
    assert again.event is None
    assert again.request is not None
    assert again.request.event == before[-1]
    approval.reject(made_store, name, second, reason="no", who="bob@host")
    again = ask(made_store, name, second)
    assert "was rejected on" in str(again)
    assert [event.action for event in events(made_store, name)] == ["promote", "request", "reject"]


def test_a_request_by_other_rules_replaces_the_open_one(
    made_store: Path, asked: Asked, approve: Act, ask: Act
) -> None:
    name, _, second = asked()
    other = GATE.model_copy(update={"floor": 0.6})
    ask(made_store, name, second, rules=other)
    assert [request.state for request in requests_of(made_store, name)] == ["replaced", "open"]
    approve(made_store, name, second, GATE, reason="good")
    assert [request.state for request in requests_of(made_store, name)] == ["replaced", "approved"]


def test_there_is_no_request_for_a_version_that_the_gate_refuses(
    made_store: Path, register: Register, ask: Act
) -> None:
    name = "poor"
    refused = ask(made_store, name, register(name, 5000))
    assert refused.request is None
    assert str(refused).startswith("poor version 1 is refused by the gate\n")
    (event,) = events(made_store, name)
    assert (event.action, event.expires, event.moves) == ("refuse", None, {})
    assert aliases(made_store, name) == {}


def test_there_is_no_request_for_the_version_in_production(
    made_store: Path, register: Register, promote: Act, ask: Act
) -> None:
    name = "serving"
    promote(made_store, name, register(name), reason="the first")
    assert str(ask(made_store, name, 1)) == "serving version 1 is in production already"
    assert len(events(made_store, name)) == 1


def test_there_is_no_request_if_production_moved_after_the_verdict(
    made_store: Path, register: Register, promote: Act
) -> None:
    name = "late"
    first, second, third = (register(name, correct) for correct in (8000, 8010, 8020))
    promote(made_store, name, first, reason="the first")
    verdict = gate.judge(made_store, name, third, GATE)
    promote(made_store, name, second, reason="quicker", who="ann@host")
    with pytest.raises(MovedError, match="by ann@host: quicker"):
        approval.ask(made_store, verdict, until=datetime.now(UTC), reason="retrain")
    assert requests_of(made_store, name) == []


def test_an_approval_promotes_by_the_verdict_of_the_request(
    made_store: Path, asked: Asked, approve: Act
) -> None:
    name, first, second = asked()
    decision = approve(
        made_store, name, "candidate", NOTHING_PASSES, reason="looked at it", who="ann@host"
    )
    assert decision.promoted
    assert aliases(made_store, name) == {"production": second, "candidate": second}
    request, event = events(made_store, name)[-2:]
    assert (event.action, event.request, event.who) == ("approve", request.id, "ann@host")
    assert (event.reason, event.moves) == ("looked at it", {"production": (first, second)})
    assert Verdict.from_dict(event.evidence) == Verdict.from_dict(request.evidence)
    assert [request.state for request in requests_of(made_store, name)] == ["approved"]


def test_there_is_no_request_for_a_version_that_fails_its_check(
    made_store: Path, register: Register, ask: Act
) -> None:
    name = "useless"

    def fails(root: Path, client: Any, version: versions.Version) -> None:
        raise PipelineError(f"{version} fails here")

    with pytest.raises(PipelineError, match="fails here"):
        ask(made_store, name, register(name), check=fails)
    assert requests_of(made_store, name) == []
    assert aliases(made_store, name) == {}


def test_the_gate_is_asked_again_if_the_version_was_evaluated_again_since_the_request(
    made_store: Path, asked: Asked, approve: Act, evaluation: Evaluate
) -> None:
    name, _, second = asked()
    client = store.client(made_store)
    version = versions.resolve(client, name, second)
    renewed = evaluation(version.model_hash, 8050)
    renewed = replace(renewed, metrics=replace(renewed.metrics, latency_ms=GATE.latency_ms + 1))
    folder = store.local_artifacts(made_store) / name / version.run_id / "artifacts" / "evaluation"
    files.write_json(folder / "metrics.json", renewed.as_dict())
    client.set_model_version_tag(name, str(second), "evaluation_hash", renewed.hash)
    decision = approve(made_store, name, second, GATE, reason="looked at it")
    assert not decision.promoted
    assert [rule.name for rule in decision.verdict.rules if not rule.passed] == ["latency"]
    assert events(made_store, name)[-1].evidence["evaluation_hash"] == renewed.hash


def test_a_version_that_fails_its_check_is_not_approved_and_its_request_stays_open(
    made_store: Path, asked: Asked
) -> None:
    name, first, second = asked()

    def fails(root: Path, client: Any, version: versions.Version) -> None:
        raise PipelineError(f"{version} fails here")

    with pytest.raises(PipelineError, match="fails here"):
        approval.approve(made_store, name, second, GATE, reason="good", check=fails)
    assert aliases(made_store, name)["production"] == first
    assert requests_of(made_store, name)[0].is_open


def test_the_gate_is_asked_again_if_production_has_moved_and_may_pass(
    made_store: Path, asked: Asked, approve: Act
) -> None:
    name, _, second, third = asked(8000, 8050, 8060)
    assert approve(made_store, name, second, GATE, reason="good").promoted
    assert approve(made_store, name, third, GATE, reason="better").promoted
    event = events(made_store, name)[-1]
    assert event.evidence["against"] == second
    assert event.moves == {"production": (second, third)}
    assert [request.state for request in requests_of(made_store, name)] == ["approved", "approved"]


def test_the_gate_is_asked_again_if_production_has_moved_and_may_refuse(
    made_store: Path, asked: Asked, approve: Act
) -> None:
    name, _, much_better, second = asked(8000, 9000, 8050)
    approve(made_store, name, much_better, GATE, reason="good")
    decision = approve(made_store, name, second, GATE, reason="I like it", who="ann@host")
    assert not decision.promoted
    assert aliases(made_store, name)["production"] == much_better
    request = requests_of(made_store, name)[-1]
    event = events(made_store, name)[-1]
    assert (request.state, request.answer, event.action) == ("rejected", event, "refuse")
    assert event.evidence["against"] == much_better


def test_the_gate_is_asked_again_if_production_has_moved_and_come_back(
    made_store: Path, asked: Asked, approve: Act, check: Callable[..., None]
) -> None:
    name, first, other, second = asked(8000, 8050, 8050)
    approve(made_store, name, other, GATE, reason="good")
    promotion.rollback(made_store, name, reason="not so good", to=first, check=check)
    assert not approve(made_store, name, second, NOTHING_PASSES, reason="good").promoted


@pytest.mark.parametrize("act", ["promote", "ask"])
def test_the_request_stays_open_if_the_gate_refuses_another_proposal(
    made_store: Path,
    asked: Asked,
    approve: Act,
    ask: Act,
    check: Callable[..., None],
    act: str,
) -> None:
    name, first, second = asked()
    if act == "ask":
        assert ask(made_store, name, second, rules=NOTHING_PASSES).event is not None
    else:  # as a retraining does at night by new rules
        verdict = gate.judge(made_store, name, second, NOTHING_PASSES)
        promotion.promote(made_store, verdict, reason="retrain", check=check)
    event = events(made_store, name)[-1]
    assert (event.action, event.request) == ("refuse", None)
    assert requests_of(made_store, name)[0].is_open
    assert aliases(made_store, name)["production"] == first
    assert approve(made_store, name, second, GATE, reason="looked at it").promoted


def test_an_approval_by_the_verdict_of_its_request_is_no_further_use_of_the_test_images(
    made_store: Path, asked: Asked, approve: Act, promote: Act
) -> None:
    name, _, second, third = asked(8000, 8050, 8060)
    assert [request.verdict.uses for request in requests_of(made_store, name)] == [2, 3]
    decision = approve(made_store, name, second, GATE, reason="good")
    assert decision.event is not None
    assert (decision.verdict.uses, decision.event.evidence["uses"]) == (2, 2)
    assert approve(made_store, name, third, GATE, reason="good").verdict.uses == 4


def test_a_rejection_is_an_event_that_moves_nothing(made_store: Path, asked: Asked) -> None:
    name, first, second = asked()
    before = aliases(made_store, name)
    event = approval.reject(made_store, name, second, reason="not in winter", who="bob@host")
    assert str(event) == f"reject {second}, by bob@host: not in winter"
    assert events(made_store, name)[-1] == event
    assert event.request == events(made_store, name)[-2].id
    assert aliases(made_store, name) == before == {"production": first, "candidate": second}


def test_a_request_that_was_answered_or_has_expired_cannot_be_answered(
    made_store: Path, asked: Asked, register: Register, approve: Act, ask: Act
) -> None:
    name, first, rejected = asked()
    expired = register(name, 8060)
    ask(made_store, name, expired, hours=-1)
    approval.reject(made_store, name, rejected, reason="no", who="bob@host")
    before = events(made_store, name)
    for version, message in (
        (rejected, r"no open .* was rejected on .* UTC: reject 2, by bob@host: no\. 'resnet hist"),
        (expired, r"no open .* version 3 expired on .* counts as rejected\. 'resnet history'"),
        (first, rf"no open approval request for {name} version 1 \(production\)\. 'resnet hist"),
    ):
        with pytest.raises(PipelineError, match=f"{message}.*'resnet promote {version} --reason"):
            approve(made_store, name, version, GATE, reason="yes")
        with pytest.raises(PipelineError, match=message):
            approval.reject(made_store, name, version, reason="no")
    assert events(made_store, name) == before
    assert aliases(made_store, name)["production"] == first


def test_an_answer_needs_a_reason(made_store: Path, asked: Asked, approve: Act) -> None:
    name, _, second = asked()
    with pytest.raises(PipelineError, match="reason must not be empty"):
        approve(made_store, name, second, GATE, reason=" ")
    with pytest.raises(PipelineError, match="reason must not be empty"):
        approval.reject(made_store, name, second, reason=" ")
    assert requests_of(made_store, name)[0].is_open


def test_promoting_a_version_answers_the_request_about_it(
    made_store: Path, asked: Asked, promote: Act
) -> None:
    name, _, second = asked()
    promote(made_store, name, second, reason="now")
    request, event = events(made_store, name)[-2:]
    assert (event.action, event.request) == ("promote", request.id)
    assert requests_of(made_store, name)[0].state == "approved"


def test_an_answer_is_refused_if_there_was_another_in_the_meantime(
    made_store: Path, asked: Asked, check: Callable[..., None]
) -> None:
    name, first, second = asked()
    request = requests_of(made_store, name)[0]
    proposal = Event("approve", name, second, {}, "ann@host", "good", request=request.event.id)
    approval.reject(made_store, name, second, reason="no", who="bob@host")
    with pytest.raises(PipelineError, match="was rejected on .* by bob@host: no"):
        promotion.decide(made_store, request.verdict, proposal, check)
    assert aliases(made_store, name)["production"] == first


def test_of_two_answers_at_once_one_wins_and_the_other_fails_with_its_name(
    made_store: Path,
    asked: Asked,
    approve: Act,
    tmp_path: Path,
    fork: Callable[[Callable[[], object]], int],
    wait: Callable[[int], int],
) -> None:
    name, first, second = asked()

    def answer(who: str, act: Callable[..., object]) -> None:
        try:
            act(reason="fast", who=who)
            (tmp_path / who).write_text("won")
        except PipelineError as error:
            (tmp_path / who).write_text(str(error))

    acts: dict[str, Callable[..., object]] = {
        "ann": partial(approve, made_store, name, second, GATE),
        "bob": partial(approval.reject, made_store, name, second),
    }
    children = [fork(partial(answer, who, act)) for who, act in acts.items()]
    assert [wait(child) for child in children] == [0, 0]
    outcomes = {who: (tmp_path / who).read_text() for who in acts}
    (winner,) = (who for who in outcomes if outcomes[who] == "won")
    (loser,) = set(acts) - {winner}
    assert f"by {winner}: fast. 'resnet history' lists" in outcomes[loser]
    production = second if winner == "ann" else first
    assert aliases(made_store, name)["production"] == production
    assert len(events(made_store, name)) == 3


def test_a_version_with_a_request_is_decided_whatever_the_answer(
    made_store: Path,
    register: Register,
    parameters: params.Params,
    evaluation: Callable[..., Evaluation],
    tmp_path: Path,
    ask: Act,
) -> None:
    name = parameters.model_name
    version = register(name)
    shutil.copytree(made_store / ".state", tmp_path / ".state")
    relocation.relocate(tmp_path, copied=True)
    scored = evaluation(f"{name}-0")
    metrics = tmp_path / parameters.paths.metrics
    metrics.parent.mkdir()
    scored.write(metrics)
    files.write_json(tmp_path / parameters.paths.training, {"model_hash": scored.model_hash})
    exported = PortableReport(model_sha256="b" * 64, cpu="", versions={}, forms=())
    exported.write(tmp_path / parameters.paths.portable_report)

    assert status(parameters, tmp_path).decided is False
    ask(tmp_path, name, version)
    current = status(parameters, tmp_path)
    assert current.decided
    assert current.request is not None
    assert current.request.is_open
    approval.reject(tmp_path, name, version, reason="no")
    current = status(parameters, tmp_path)
    assert current.decided
    assert current.request is not None
    assert current.request.state == "rejected"
    other = GATE.model_copy(update={"floor": 0.6})
    parameters = parameters.model_copy(update={"gate": other})
    current = status(parameters, tmp_path)
    assert (current.decided, current.request) == (False, None)

    # A version that was put into production by hand and taken out again is decided by any rules.
    client = store.client(tmp_path)
    before = register_elsewhere(client, name)
    client.set_registered_model_alias(name, "candidate", "1")
    for number in (version, before):
        client.set_registered_model_alias(name, "production", str(number))
        current = status(parameters, tmp_path)
        assert current.decided is (number == before)  # by the ledger, not by the alias
        assert len(current.problems) == 1
        assert f"production names version {number}, but according" in current.problems[0]
        reconcile.reconcile(tmp_path, name, accept=True, reason="by hand", check=unchecked)
        current = status(parameters, tmp_path)
        assert (current.decided, current.problems) == (True, ())


def test_the_commands_answer_and_say_why_they_cannot(
    made_store: Path,
    asked: Asked,
    register: Register,
    tmp_path: Path,
    enter: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    name, *_ = asked()
    register(name, 5000)
    shutil.copytree(made_store / ".state", tmp_path / ".state")
    relocation.relocate(tmp_path, copied=True)
    for file in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / file, tmp_path / file)
    enter(tmp_path)
    arguments = ["2", "--model", name, "--reason", "no"]
    assert cli.main(["history", "--model", name]) == 0
    assert f'  resnet reject 2 --model {name} --reason "…"' in capsys.readouterr().out
    assert cli.main(["promote", "3", "--model", name, "--reason", "a try"]) == 1
    assert capsys.readouterr().out.startswith(
        f"{name} version 3 is refused by the gate\nFAIL  floor"
    )
    assert cli.main(["reject", *arguments]) == 0
    assert capsys.readouterr().out.startswith("reject 2, by ")
    assert cli.main(["approve", *arguments]) == 1
    error = capsys.readouterr().err
    assert f"the request to approve {name} version 2 was rejected" in error
