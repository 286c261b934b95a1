"""What a crash has left, and changes in MLflow\'s UI, are noticed and repaired."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resnet import cli, params
from resnet.errors import PipelineError
from resnet.operations.doctor import stores
from resnet.registry import store, versions
from resnet.registry.gate import gate
from resnet.registry.ledger import ledger, lock
from resnet.registry.ledger.event import Event
from resnet.registry.promotion import alias_move, history, promotion
from resnet.registry.promotion.reconcile import reconcile
from resnet.system import addresses
from tests.support import REPOSITORY

Check = Callable[..., None]
Register = Callable[..., int]
Save = Callable[[], Callable[[], None]]
GATE = params.load(REPOSITORY).gate
NAME = "promoted"


@pytest.fixture(scope="module")
def history_of_two(
    made_store: Path, register: Register, check: Check, save: Save
) -> Callable[[], None]:
    """Three versions, of which the first two were promoted; call it to restore that."""
    for number in [register(NAME) for _ in range(3)][:2]:
        verdict = gate.judge(made_store, NAME, number, GATE)
        promotion.promote(made_store, verdict, reason=f"number {number}", check=check)
    return save()


@pytest.fixture
def name(history_of_two: Callable[[], None]) -> str:
    """The name of a model with that history, whatever other tests have done to it."""
    history_of_two()
    return NAME


def number_of(client: Any, name: str, alias: str = "production") -> int | None:
    version = versions.with_alias(client, name, alias)
    return version.number if version else None


def intent(client: Any, name: str, checked: bool = True) -> Event:
    """What a promotion of version 3 writes before it moves anything."""
    moves = {"candidate": (2, 3), "production": (2, 3)}
    begun = ledger.begin(client, Event("promote", name, 3, moves, "ann@host", "doomed"))
    if checked:
        ledger.mark_checked(client, begun)
    return begun


def test_a_move_that_only_lacks_its_end_is_completed(
    made_store: Path, name: str, check: Check
) -> None:
    client = store.client(made_store)
    intent(client, name)
    for alias in ("candidate", "production"):
        client.set_registered_model_alias(name, alias, "3")
    (problem,) = history.read(made_store, name)[1]
    assert problem.startswith(
        "unfinished: promote 3, candidate 2 → 3, production 2 → 3, by ann@host"
    )
    assert reconcile(made_store, name, check=check) == [
        "completed: promote 3, candidate 2 → 3, production 2 → 3, by ann@host: doomed"
    ]
    assert ledger.events(client, name)[-1].version_to == 3
    assert reconcile(made_store, name, check=check) == []


@pytest.mark.parametrize("aliases", [["production"], ["candidate", "production"]])
def test_aliases_that_were_changed_by_hand_are_not_taken_for_a_checked_promotion(
    made_store: Path, name: str, check: Check, aliases: list[str]
) -> None:
    client = store.client(made_store)
    intent(client, name, checked=False)  # its process was killed during the check
    for alias in aliases:
        client.set_registered_model_alias(name, alias, "3")
    undone, recorded = reconcile(made_store, name, accept=True, reason="it was urgent", check=check)
    assert undone.startswith("undone: promote 3")
    assert undone.endswith("production stays at 3")
    assert recorded.startswith("recorded: found 3, production 2 → 3")
    assert [event.action for event in ledger.events(client, name)] == ["promote"] * 2 + ["found"]
    assert history.read(made_store, name)[1] == []


def test_production_stays_where_it_was_moved_though_the_candidate_was_not(
    made_store: Path, name: str, check: Check
) -> None:
    client = store.client(made_store)
    intent(client, name)
    client.set_registered_model_alias(name, "production", "3")
    lines = reconcile(made_store, name, accept=True, reason="it serves", check=check)
    assert [line.partition(":")[0] for line in lines] == ["undone", "recorded"]
    assert (number_of(client, name), number_of(client, name, "candidate")) == (3, 2)


def test_a_suspended_move_leaves_its_event_as_another_process_recovered_it(
    made_store: Path, name: str, check: Check
) -> None:
    client = store.client(made_store)

    def sleeps(root: Path, client: Any, version: versions.Version) -> None:
        holder = lock.Holder.read(client, name)
        assert holder is not None
        assert lock._bury(client, name, holder.token)  # its time is over
        assert reconcile(made_store, name, check=check)[0].startswith("undone: promote 3")

    verdict = gate.judge(made_store, name, 3, GATE)
    with pytest.raises(PipelineError, match=f"the lock {name}.lock, .* no longer exists"):
        promotion.promote(made_store, verdict, reason="slow", check=sleeps)
    assert history.read(made_store, name)[1] == []
    assert number_of(client, name) == 2


def test_a_suspended_move_does_not_undo_what_another_process_completed(
    made_store: Path,
    name: str,
    check: Check,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = store.client(made_store)
    mark_checked = ledger.mark_checked

    def sleeps(client: Any, event: Event) -> None:
        mark_checked(client, event)
        holder = lock.Holder.read(client, name)
        assert holder is not None
        assert lock._bury(client, name, holder.token)
        assert reconcile(made_store, name, check=check)[0].startswith("completed: refuse 3")

    strict = GATE.model_copy(update={"floor": 1.0})
    verdict = gate.judge(made_store, name, 3, strict)
    monkeypatch.setattr(ledger, "mark_checked", sleeps)
    with pytest.raises(PipelineError, match=f"the lock {name}.lock, .* no longer exists"):
        promotion.promote(made_store, verdict, reason="slow", check=check)
    events, problems = history.read(made_store, name)
    assert ([event.action for event in events[2:]], problems) == (["refuse"], [])
    assert client.get_run(events[-1].id).info.status == "FINISHED"


def test_the_next_move_recovers_after_a_crash_and_warns_of_it(
    made_store: Path,
    name: str,
    check: Check,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = store.client(made_store)
    intent(client, name)
    client.set_registered_model_alias(name, "candidate", "3")
    assert promotion.rollback(made_store, name, reason="on", check=check).version_to == 1
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.message.startswith(f"{name}: recovered after a crash: undone: promote 3")


@pytest.mark.parametrize("candidate_was_moved", [False, True])
def test_a_move_that_has_not_reached_production_is_undone(
    made_store: Path,
    name: str,
    check: Check,
    candidate_was_moved: bool,
) -> None:
    client = store.client(made_store)
    begun = intent(client, name)
    if candidate_was_moved:
        client.set_registered_model_alias(name, "candidate", "3")
    (line,) = reconcile(made_store, name, check=check)
    assert line.startswith("undone: promote 3")
    assert line.endswith("production stays at 2")
    assert (number_of(client, name), number_of(client, name, "candidate")) == (2, 2)
    assert client.get_run(begun.id).info.status == "FAILED"
    assert len(ledger.events(client, name)) == 2


def test_a_change_outside_the_ledger_is_shown_and_stops_every_move(
    made_store: Path, name: str, check: Check
) -> None:
    client = store.client(made_store)
    client.set_registered_model_alias(name, "production", "3")
    message = (
        "production names version 3, but according to the ledger it should name version 2: cha"
    )
    (problem,) = history.read(made_store, name)[1]
    assert problem.startswith(message)
    verdict = gate.judge(made_store, name, 1, GATE)
    for act in (
        lambda: promotion.promote(made_store, verdict, reason="x", check=check),
        lambda: promotion.rollback(made_store, name, reason="x", check=check),
    ):
        with pytest.raises(
            PipelineError, match=f"{message}nged outside.*reconcile'.*--accept --reason"
        ):
            act()
    assert number_of(client, name) == 3


@pytest.mark.parametrize("number", [3, None])
def test_the_ledgers_version_is_restored(
    made_store: Path, name: str, check: Check, number: int | None
) -> None:
    client = store.client(made_store)
    alias_move.set_alias(client, name, "production", number)
    names = f"names version {number}" if number else "is unset"
    assert f"production {names}" in history.read(made_store, name)[1][0]
    (line,) = reconcile(made_store, name, check=check)
    assert line.startswith(f"restored: restore 2, production {number or 'none'} → 2, by ")
    assert number_of(client, name) == 2
    assert history.read(made_store, name)[1] == []
    assert promotion.rollback(made_store, name, reason="on", check=check).version_to == 1


@pytest.mark.parametrize("number", [3, None])
def test_a_change_outside_the_ledger_is_accepted_with_a_reason(
    made_store: Path, name: str, check: Check, number: int | None
) -> None:
    client = store.client(made_store)
    alias_move.set_alias(client, name, "production", number)
    with pytest.raises(PipelineError, match="reason must not be empty"):
        reconcile(made_store, name, accept=True, reason=" ", check=check)
    (line,) = reconcile(made_store, name, accept=True, reason="it was urgent", check=check)
    assert line.startswith("recorded: found")
    assert number_of(client, name) == number
    events, problems = history.read(made_store, name)
    assert problems == []
    assert (events[-1].action, events[-1].version_from, events[-1].version_to) == (
        "found",
        2,
        number,
    )
    assert events[-1].who.startswith("unknown (found by ")
    verdict = gate.judge(made_store, name, 1, GATE)
    assert promotion.promote(made_store, verdict, reason="on", check=check).promoted


@pytest.mark.parametrize(("number", "accept"), [(3, False), (1, True), (None, True)])
def test_a_candidate_that_was_changed_by_hand_is_shown_and_restored_or_accepted(
    made_store: Path,
    name: str,
    check: Check,
    number: int | None,
    accept: bool,
) -> None:
    client = store.client(made_store)
    alias_move.set_alias(client, name, "candidate", number)
    (problem,) = history.read(made_store, name)[1]
    assert problem.startswith("candidate ")
    assert " it should name version 2: changed outside the ledger" in problem
    with pytest.raises(PipelineError, match="name version 2: changed outside"):
        promotion.rollback(made_store, name, reason="x", check=check)
    (line,) = reconcile(made_store, name, accept=accept, reason="so be it", check=check)
    assert line.startswith("recorded: found" if accept else "restored: restore 2, candidate 3 → 2")
    assert number_of(client, name) == 2
    assert number_of(client, name, "candidate") == (number if accept else 2)
    assert history.read(made_store, name)[1] == []


@pytest.mark.parametrize("accept", [False, True])
def test_a_version_that_fails_its_check_is_neither_restored_nor_accepted(
    made_store: Path, name: str, accept: bool
) -> None:
    client = store.client(made_store)
    client.set_registered_model_alias(name, "production", "3")
    intent(client, name, checked=False)

    def fails(root: Path, client: Any, version: versions.Version) -> None:
        raise PipelineError(f"{version} fails here")

    message = f"^undone: promote 3.*\n{name} version {3 if accept else 2} .*fails here"
    with pytest.raises(PipelineError, match=message):
        reconcile(made_store, name, accept=accept, reason="a try", check=fails)
    assert number_of(client, name) == 3
    assert len(ledger.events(client, name)) == 2


def test_a_version_that_was_promoted_without_any_ledger_can_only_be_accepted(
    made_store: Path, register: Register, check: Check
) -> None:
    client = store.client(made_store)
    client.set_registered_model_alias("bare", "production", str(register("bare")))
    with pytest.raises(PipelineError, match="no version to restore.*--accept"):
        reconcile(made_store, "bare", check=check)
    assert number_of(client, "bare") == 1
    (line,) = reconcile(made_store, "bare", accept=True, reason="from before", check=check)
    assert "production none → 1" in line


def test_a_broken_ledger_stops_every_move(made_store: Path, name: str, check: Check) -> None:
    client = store.client(made_store)
    client.set_tag(ledger.events(client, name)[-1].id, "reason", "none of your business")
    verdict = gate.judge(made_store, name, 3, GATE)
    for act in (
        lambda: promotion.promote(made_store, verdict, reason="x", check=check),
        lambda: promotion.rollback(made_store, name, reason="x", check=check),
        lambda: reconcile(made_store, name, check=check),
    ):
        with pytest.raises(PipelineError, match="not intact: event 1 .* its tags were edited"):
            act()
    assert "event 1" in history.read(made_store, name)[1][0]
    # The way out that the message names.
    client.rename_experiment(store.experiment(client, f"{name}-ledger"), "old")
    reconcile(made_store, name, accept=True, reason="the old ledger was edited", check=check)
    assert promotion.promote(made_store, verdict, reason="on", check=check).promoted


def test_a_move_in_progress_is_not_taken_for_a_crash_and_hides_no_mismatch(
    made_store: Path, name: str
) -> None:
    client = store.client(made_store)
    with lock.holding(client, name, "bob@host"):
        client.set_registered_model_alias(name, "candidate", "1")
        moves = {"production": (2, 3)}
        ledger.begin(client, Event("rollback", name, 3, moves, "bob@host", "why"))
        client.set_registered_model_alias(name, "production", "3")
        problems = history.read(made_store, name)[1]
    assert problems[0].startswith("a change is in progress, by bob@host (process ")
    assert problems[1].startswith("candidate names version 1, but according to the ledger it")
    assert len(problems) == 2


def test_the_commands_print_the_problems_and_what_they_did(
    empty_store: Path,
    tmp_path: Path,
    enter: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    enter(tmp_path)
    assert stores.ledgers(tmp_path)[0].text == "nothing is registered yet"
    shutil.copytree(empty_store / ".state", tmp_path / ".state")
    client = store.client(tmp_path)
    client.create_registered_model("mine")
    client.create_model_version("mine", "runs:/none/model.keras")
    event = Event("promote", "mine", 1, {"production": (None, 1)}, "ann", "good")
    ledger.finish(client, ledger.begin(client, event))

    assert cli.main(["history", "--json", "--model", "other"]) == 1
    assert "there is no registered model other" in capsys.readouterr().err
    assert [finding.level for finding in stores.ledgers(tmp_path)] == ["warn"]
    assert cli.main(["history", "--model", "mine"]) == 0
    printed = capsys.readouterr()
    assert "– → 1" in printed.out
    assert "warning: production is unset, but according to the ledger it should" in printed.err
    assert cli.main(["reconcile", "--model", "mine"]) == 1
    assert "error: mine version 1 was registered by hand, without" in capsys.readouterr().err
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{addresses.free_port()}/api")
    assert cli.main(["reconcile", "--model", "mine", "--accept", "--reason", "so be it"]) == 0
    printed = capsys.readouterr()
    assert "recorded: found, production 1 → none" in printed.out
    assert printed.err.startswith("warning: no flow run was looked at: PREFECT_API_URL is http:")
    monkeypatch.delenv("PREFECT_API_URL")
    assert cli.main(["reconcile", "--model", "mine"]) == 0
    assert capsys.readouterr().out == "nothing to reconcile\n"
    assert [finding.level for finding in stores.ledgers(tmp_path)] == ["ok"]
