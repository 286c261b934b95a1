"""One process at a time holds the lock, whatever happens to the others."""

import os
import signal
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from resnet.errors import PipelineError
from resnet.registry import store
from resnet.registry.ledger import lock
from resnet.system import processes

Fork = Callable[[Callable[[], object]], int]
Wait = Callable[[int], int]
ELSEWHERE = "elsewhere 1 0.0 another-boot"  # a process that nobody here can look at


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "WAIT_SECONDS", 0.5)


def hold_and_die(root: Path, name: str) -> None:
    with lock.holding(store.client(root), name, "ann@host"):
        os.kill(os.getpid(), signal.SIGKILL)


def take_lock(client: Any, name: str, who: str) -> lock.ModelLock:
    """Without the block that releases it."""
    taken = lock.ModelLock(client, name, uuid.uuid4().hex)
    lock._take(taken, who)
    return taken


def locks(client: Any, name: str) -> list[str]:
    return sorted(model.name for model in client.search_registered_models(f"name LIKE '{name}.%'"))


@pytest.fixture
def expired(made_store: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], lock.ModelLock]:
    """Take a lock on another host that is expired at once."""
    client = store.client(made_store)

    def take(name: str) -> lock.ModelLock:
        with monkeypatch.context() as patched:
            patched.setattr(processes, "identity", lambda: ELSEWHERE)
            patched.setattr(lock, "TERM_SECONDS", -1.0)
            return take_lock(client, name, "ann@elsewhere")

    return take


@pytest.mark.usefixtures("impatient")
def test_a_living_holder_is_waited_for_and_named(any_store: Path) -> None:
    client = store.client(any_store)
    with lock.holding(client, "busy", "ann@host") as held:
        held.confirm()
        with (
            pytest.raises(PipelineError, match=r"ann@host \(process \d+ on .* UTC"),
            lock.holding(client, "busy", "bob@host"),
        ):
            pass
        held.confirm()
    with lock.holding(client, "busy", "bob@host"):
        pass
    assert locks(client, "busy") == []


def test_a_killed_holder_stops_nobody(any_store: Path, fork: Fork, wait: Wait) -> None:
    assert wait(fork(lambda: hold_and_die(any_store, "killed"))) == -signal.SIGKILL
    client = store.client(any_store)
    assert locks(client, "killed") == ["killed.lock"]
    began = time.monotonic()
    with lock.holding(client, "killed", "bob@host") as held:
        held.confirm()
        assert time.monotonic() - began < 5


def test_of_several_takers_one_after_the_other_holds_the_lock(
    any_store: Path, tmp_path: Path, fork: Fork, wait: Wait
) -> None:
    name, log = f"contended-{tmp_path.name}", tmp_path / "log"
    assert wait(fork(lambda: hold_and_die(any_store, name))) == -signal.SIGKILL

    def take(me: int) -> None:
        with lock.holding(store.client(any_store), name, "a taker") as held, log.open("a") as out:
            print("in", me, file=out, flush=True)
            time.sleep(0.1)
            held.confirm()
            print("out", me, file=out, flush=True)

    children = [fork(partial(take, me)) for me in range(4)]
    assert [wait(child) for child in children] == [0] * 4
    lines = [line.split() for line in log.read_text().splitlines()]
    assert sorted(me for _, me in lines) == sorted("00112233")
    assert all(one == other for (_, one), (_, other) in zip(lines[::2], lines[1::2], strict=True))


def test_a_holder_notices_that_its_lock_has_expired(
    made_store: Path, expired: Callable[[str], lock.ModelLock]
) -> None:
    client, late = store.client(made_store), expired("late")
    with pytest.raises(
        PipelineError, match="has expired, too soon to write safely \\(120 s needed\\)"
    ):
        late.confirm()
    with lock.holding(client, "late", "bob@host") as held:
        with pytest.raises(PipelineError, match="is held by bob@host"):
            late.confirm()
        late.release()  # leaves a lock that is another's
        held.confirm()
    with pytest.raises(PipelineError, match="no longer exists"):
        late.confirm()


def test_a_late_taker_does_not_remove_the_lock_of_the_taker_before(
    made_store: Path, expired: Callable[[str], lock.ModelLock]
) -> None:
    client, late = store.client(made_store), expired("slow")
    seen = lock.Holder.read(client, "slow")  # by a taker that goes to sleep here
    assert seen is not None
    with lock.holding(client, "slow", "bob@host") as held:
        assert lock._bury(client, "slow", seen.token) is False
        held.confirm()
    with lock.holding(client, "slow", "bob@host") as held:  # also after the holder's release
        assert lock._bury(client, "slow", seen.token) is False
        held.confirm()
    assert locks(client, "slow") == [f"slow.lock.{late.token}"]


def test_a_holder_of_an_expired_lock_leaves_its_tombstone_for_late_takers(
    made_store: Path, expired: Callable[[str], lock.ModelLock]
) -> None:
    client, late = store.client(made_store), expired("tired")
    late.release()
    assert locks(client, "tired") == [f"tired.lock.{late.token}"]


def test_old_tombstones_are_removed(
    made_store: Path, expired: Callable[[str], lock.ModelLock], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = store.client(made_store)
    expired("buried").release()
    monkeypatch.setattr(lock, "TOMBSTONE_SECONDS", -60.0)
    with lock.holding(client, "buried", "bob@host"):
        assert locks(client, "buried") == ["buried.lock"]


def test_a_lock_that_is_released_while_it_is_read_is_not_taken_for_a_model(
    made_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = store.client(made_store)
    held = take_lock(client, "torn", "ann@host")
    read = client.get_registered_model("torn.lock")
    read._tags = {}  # as MLflow gives it where the tags' rows are renamed before it reads them
    held.release()
    looks = iter([read])
    find_model = lock._find

    def find(client: Any, name: str) -> Any:
        return next(looks, None) or find_model(client, name)

    monkeypatch.setattr(lock, "_find", find)
    assert lock.Holder.read(client, "torn") is None


def test_a_model_with_the_name_of_a_lock_is_not_taken_for_one(made_store: Path) -> None:
    client = store.client(made_store)
    client.create_registered_model("mine.lock")
    with (
        pytest.raises(PipelineError, match=r"mine\.lock has the name of the lock of mine"),
        lock.holding(client, "mine", "bob@host"),
    ):
        pass
    assert locks(client, "mine") == ["mine.lock"]
