"""What a crash left, and what a hand in MLflow's page did, is found and put right."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resnet import cli, doctor, params
from resnet.errors import PipelineError
from resnet.registry import gate, history, ledger, lock, promotion, store, versions
from resnet.registry.event import Event
from resnet.registry.reconcile import reconcile

Check = Callable[..., None]
Register = Callable[..., int]
REPOSITORY = Path(__file__).parents[2]
GATE = params.load(REPOSITORY).gate


@pytest.fixture
def promoted(made_store: Path, register: Register, check: Check) -> Callable[[str], list[int]]:
    """Register three versions of a name and promote the first two."""

    def one(name: str) -> list[int]:
        numbers = [register(name) for _ in range(3)]
        for number in numbers[:2]:
            verdict = gate.judge(made_store, name, number, GATE)
            promotion.promote(made_store, verdict, reason=f"number {number}", check=check)
        return numbers

    return one


def names(client: Any, name: str, alias: str = "production") -> int | None:
    found = versions.with_alias(client, name, alias)
    return found.number if found else None


def intent(client: Any, name: str) -> Event:
    """What a promotion of version 3 writes before it moves anything."""
    moves = {"candidate": (2, 3), "production": (2, 3)}
    return ledger.begin(client, Event("promote", name, 3, moves, "ann@host", "doomed"))


def test_a_move_that_only_lacks_its_end_is_finished(
    made_store: Path, promoted: Callable[[str], list[int]], check: Check
) -> None:
    promoted("lacks-end")
    client = store.client(made_store)
    intent(client, "lacks-end")
    for alias in ("candidate", "production"):
        client.set_registered_model_alias("lacks-end", alias, "3")
    (problem,) = history.read(made_store, "lacks-end")[1]
    assert problem.startswith("begun and not finished: promote 3, candidate 2 → 3, production 2 →")
    assert reconcile(made_store, "lacks-end", check=check) == [
        "finished: promote 3, candidate 2 → 3, production 2 → 3, by ann@host: doomed"
    ]
    assert ledger.events(client, "lacks-end")[-1].version_to == 3
    assert reconcile(made_store, "lacks-end", check=check) == []


@pytest.mark.parametrize("candidate_was_moved", [False, True])
def test_a_move_that_has_not_reached_production_is_undone(
    made_store: Path,
    promoted: Callable[[str], list[int]],
    check: Check,
    candidate_was_moved: bool,
) -> None:
    name = f"half-moved-{candidate_was_moved}"
    promoted(name)
    client = store.client(made_store)
    begun = intent(client, name)
    if candidate_was_moved:
        client.set_registered_model_alias(name, "candidate", "3")
    (line,) = reconcile(made_store, name, check=check)
    assert line.startswith("undone: promote 3")
    assert line.endswith("production stays at 2")
    assert (names(client, name), names(client, name, "candidate")) == (2, 2)
    assert client.get_run(begun.id).info.status == "FAILED"
    assert len(ledger.events(client, name)) == 2


def test_a_move_behind_the_ledgers_back_is_shown_and_stops_every_other(
    made_store: Path, promoted: Callable[[str], list[int]], check: Check
) -> None:
    name = "behind"
    promoted(name)
    client = store.client(made_store)
    client.set_registered_model_alias(name, "production", "3")
    told = "production names version 3, the ledger's last event says 2: moved behind the ledger's"
    (problem,) = history.read(made_store, name)[1]
    assert problem.startswith(told)
    verdict = gate.judge(made_store, name, 1, GATE)
    for act in (
        lambda: promotion.promote(made_store, verdict, reason="x", check=check),
        lambda: promotion.rollback(made_store, name, reason="x", check=check),
    ):
        with pytest.raises(PipelineError, match=f"{told} back.*reconcile'.*--accept --reason"):
            act()
    assert names(client, name) == 3


@pytest.mark.parametrize("stray", [3, None])
def test_what_the_ledger_says_is_put_back(
    made_store: Path, promoted: Callable[[str], list[int]], check: Check, stray: int | None
) -> None:
    name = f"put-back-{stray}"
    promoted(name)
    client = store.client(made_store)
    if stray:
        client.set_registered_model_alias(name, "production", str(stray))
    else:
        client.delete_registered_model_alias(name, "production")
        assert "production is gone" in history.read(made_store, name)[1][0]
    (line,) = reconcile(made_store, name, check=check)
    assert line.startswith(f"restored: restore 2, production {stray or 'none'} → 2, by ")
    assert names(client, name) == 2
    assert history.read(made_store, name)[1] == []
    assert promotion.rollback(made_store, name, reason="on", check=check).version_to == 1


@pytest.mark.parametrize("stray", [3, None])
def test_what_was_found_is_accepted_with_a_reason(
    made_store: Path, promoted: Callable[[str], list[int]], check: Check, stray: int | None
) -> None:
    name = f"accepted-{stray}"
    promoted(name)
    client = store.client(made_store)
    if stray:
        client.set_registered_model_alias(name, "production", str(stray))
    else:
        client.delete_registered_model_alias(name, "production")
    with pytest.raises(PipelineError, match="reason is empty"):
        reconcile(made_store, name, accept=True, reason=" ", check=check)
    (line,) = reconcile(made_store, name, accept=True, reason="it was urgent", check=check)
    assert line.startswith("recorded: found")
    assert names(client, name) == stray
    events, problems = history.read(made_store, name)
    assert problems == []
    assert (events[-1].action, events[-1].version_from, events[-1].version_to) == (
        "found",
        2,
        stray,
    )
    assert events[-1].who.startswith("unknown (found by ")
    verdict = gate.judge(made_store, name, 1, GATE)
    assert promotion.promote(made_store, verdict, reason="on", check=check).promoted


def test_a_version_that_does_not_work_is_not_put_back(
    made_store: Path, promoted: Callable[[str], list[int]]
) -> None:
    promoted("worn-out")
    client = store.client(made_store)
    client.set_registered_model_alias("worn-out", "production", "3")

    def fails(root: Path, client: Any, version: versions.Version) -> None:
        raise PipelineError(f"{version} does not work")

    with pytest.raises(PipelineError, match="worn-out version 2 .*does not work"):
        reconcile(made_store, "worn-out", check=fails)
    assert names(client, "worn-out") == 3


def test_a_version_that_came_into_production_without_any_ledger_can_only_be_accepted(
    made_store: Path, register: Register, check: Check
) -> None:
    client = store.client(made_store)
    client.set_registered_model_alias("bare", "production", str(register("bare")))
    with pytest.raises(PipelineError, match="no version to put back.*--accept"):
        reconcile(made_store, "bare", check=check)
    assert names(client, "bare") == 1
    (line,) = reconcile(made_store, "bare", accept=True, reason="from before", check=check)
    assert "production none → 1" in line


def test_a_broken_ledger_stops_every_move(
    made_store: Path, promoted: Callable[[str], list[int]], check: Check
) -> None:
    name = "torn"
    promoted(name)
    client = store.client(made_store)
    client.set_tag(ledger.events(client, name)[0].id, "reason", "none of your business")
    verdict = gate.judge(made_store, name, 3, GATE)
    for act in (
        lambda: promotion.promote(made_store, verdict, reason="x", check=check),
        lambda: promotion.rollback(made_store, name, reason="x", check=check),
        lambda: reconcile(made_store, name, check=check),
    ):
        with pytest.raises(PipelineError, match="not whole: event 0 .* its tags were edited"):
            act()
    assert "event 0" in history.read(made_store, name)[1][0]
    # The way out that the message names.
    client.rename_experiment(client.get_experiment_by_name(f"{name}-ledger").experiment_id, "old")
    reconcile(made_store, name, accept=True, reason="the old ledger was edited", check=check)
    assert promotion.promote(made_store, verdict, reason="on", check=check).promoted


def test_a_move_under_way_is_not_taken_for_a_crash(
    made_store: Path, promoted: Callable[[str], list[int]]
) -> None:
    promoted("under-way")
    client = store.client(made_store)
    with lock.holding(client, "under-way", "bob@host"):
        intent(client, "under-way")
        client.set_registered_model_alias("under-way", "production", "3")
        (problem,) = history.read(made_store, "under-way")[1]
    assert problem.startswith("a move is under way, by bob@host (process ")


def test_the_commands_say_what_is_wrong_and_what_they_did(
    empty_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    monkeypatch.setattr(os, "environ", os.environ.copy())  # a command adds to it
    monkeypatch.chdir(tmp_path)
    assert doctor.ledgers(tmp_path)[0].text == "nothing was registered yet"
    shutil.copytree(empty_store / ".state", tmp_path / ".state")
    client = store.client(tmp_path)
    client.create_registered_model("mine")
    client.create_model_version("mine", "runs:/none/model.keras")
    client.set_registered_model_alias("mine", "production", "1")
    ledger.finish(client, ledger.begin(client, Event("refuse", "mine", 1, {}, "ann", "bad")))

    assert [finding.level for finding in doctor.ledgers(tmp_path)] == ["warn"]
    assert cli.main(["history", "--model", "mine"]) == 0
    printed = capsys.readouterr()
    assert "refuse" in printed.out
    assert "warning: production names version 1, the ledger's last word is that" in printed.err
    assert cli.main(["reconcile", "--model", "mine"]) == 1
    assert cli.main(["reconcile", "--model", "mine", "--accept", "--reason", "so be it"]) == 0
    assert "recorded: found 1, production none → 1" in capsys.readouterr().out
    assert cli.main(["reconcile", "--model", "mine"]) == 0
    assert capsys.readouterr().out == "nothing to reconcile\n"
    assert [finding.level for finding in doctor.ledgers(tmp_path)] == ["ok"]
