"""A store that lacks events which this checkout knows of is noticed, though its chain is whole."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from resnet.errors import PipelineError
from resnet.operations.doctor import stores
from resnet.registry import store
from resnet.registry.ledger import known_head, ledger
from resnet.registry.ledger.event import Event
from resnet.registry.promotion import history, promotion
from resnet.registry.promotion.reconcile import reconcile
from tests.support import REPOSITORY

Save = Callable[[], Callable[[], None]]
Check = Callable[..., None]
Register = Callable[..., int]


def write(root: Path, name: str, version: int = 1) -> Event:
    client = store.client(root)
    moves = {"candidate": (version - 1 or None, version)}
    event = Event("request", name, version, moves, "ann@host", "better")
    return ledger.finish(client, ledger.begin(client, event))


def restore_only_the_store(root: Path, put_back: Callable[[], None]) -> None:
    """What a person does with a backup of the file, who does not know of the rest of .state."""
    heads, kept = root / ".state" / "ledgers", root / "kept"
    shutil.copytree(heads, kept)
    put_back()
    shutil.rmtree(heads, ignore_errors=True)
    kept.rename(heads)


def test_a_store_restored_from_an_older_backup_is_told_until_a_person_accepts_it(
    made_store: Path, register: Register, save: Save, check: Check
) -> None:
    name = "restored"
    register(name)
    store.client(made_store).set_registered_model_alias(name, "candidate", "1")
    write(made_store, name)
    backup = save()
    lost = write(made_store, name, 2)
    assert ledger.read(store.client(made_store), name).missing is None
    restore_only_the_store(made_store, backup)

    told = r"it ends with event 0, but this checkout knows event 1\. .*reconcile --accept"
    _, (problem, *_) = history.read(made_store, name)
    with pytest.raises(PipelineError, match=told):
        raise PipelineError(problem)
    for act in (
        lambda: promotion.rollback(made_store, name, reason="x", check=check),
        lambda: reconcile(made_store, name, check=check),
    ):
        with pytest.raises(PipelineError, match=told):
            act()
    (line,) = reconcile(made_store, name, accept=True, reason="the disk failed", check=check)
    assert line.startswith("recorded: found, by unknown (found by ")
    assert line.endswith("the disk failed (it ends with event 0, but this checkout knows event 1)")
    events, problems = history.read(made_store, name)
    assert ([event.action for event in events], problems) == (["request", "found"], [])
    assert lost not in events


def test_a_store_that_another_host_has_moved_on_is_no_alarm(
    made_store: Path, tmp_path: Path
) -> None:
    client = store.client(made_store)
    first = write(made_store, "shared", 1)
    client.state = tmp_path  # another checkout's, which knows nothing of this ledger
    assert known_head.read(client, "shared") is None
    moves = {"candidate": (1, 2)}
    event = Event("request", "shared", 2, moves, "bob@elsewhere", "better")
    second = ledger.finish(client, ledger.begin(client, event))
    here = store.client(made_store)
    current = ledger.read(here, "shared")
    assert current.known == first.head
    assert (current.events, current.broken, current.missing) == ([first, second], None, None)
    assert write(made_store, "shared", 3).head == known_head.read(here, "shared")


def test_another_history_of_the_same_length_is_not_the_known_one(
    made_store: Path, save: Save
) -> None:
    backup = save()
    write(made_store, "other")
    restore_only_the_store(made_store, backup)
    client = store.client(made_store)
    known = known_head.read(client, "other")
    event = ledger.finish(
        client, ledger.begin(client, Event("refuse", "other", 1, {}, "eve@host", "mine"))
    )
    assert known is not None
    told = known_head.missing([event], known)
    assert told == "its event 0 is another one than this checkout knows"


def test_the_doctor_tells_of_a_store_that_is_gone_and_does_not_make_a_new_one(
    empty_store: Path, tmp_path: Path
) -> None:
    root, moved = tmp_path / "checkout", tmp_path / "moved"
    shutil.copytree(empty_store / ".state", root / ".state")
    write(root, "gone")
    shutil.copytree(root / ".state" / "ledgers", moved / ".state" / "ledgers")
    shutil.copy(REPOSITORY / "params.yaml", moved)
    (finding,) = stores.ledgers(moved)
    assert finding.level == "warn"
    assert finding.text.startswith("gone: its store is missing, but this checkout knows events")
    assert not (moved / ".state" / "mlflow").exists()
    shutil.copytree(empty_store / ".state" / "mlflow", moved / ".state" / "mlflow")
    (finding,) = stores.ledgers(moved)
    assert "gone: the ledger lacks events: it is empty, but this checkout knows" in finding.text


def test_a_kept_head_that_cannot_be_read_is_named(made_store: Path) -> None:
    write(made_store, "torn")
    client = store.client(made_store)
    (path,) = (
        path
        for path in (made_store / ".state" / "ledgers").rglob("head.json")
        if "torn" in path.read_text()
    )
    path.write_text("{")
    with pytest.raises(PipelineError, match=r"head\.json, the last event .*delete it"):
        ledger.read(client, "torn")

    for head in ("", "1", "one hash run"):
        path.write_text(f'{{"model": "torn", "head": "{head}"}}')
        with pytest.raises(PipelineError, match=r"head\.json, the last event .*delete it"):
            ledger.read(client, "torn")


def test_a_checkout_that_only_reads_knows_the_last_event_as_well(
    made_store: Path, save: Save, tmp_path: Path
) -> None:
    store.local_artifacts(made_store).mkdir(exist_ok=True)
    write(made_store, "read")
    backup = save()
    last = write(made_store, "read", 2)
    reader = store.client(made_store)
    reader.state = tmp_path  # that of a checkout which never wrote, or of an earlier release
    assert ledger.read(reader, "read", whole=True).known is None
    assert known_head.read(reader, "read") == last.head
    backup()
    assert "knows event 1" in (ledger.read(reader, "read").missing or "")
    assert known_head.read(reader, "read") == last.head
