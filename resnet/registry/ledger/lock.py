"""One mover at a time for each registered model, between processes and hosts, in any MLflow store.

The lock of NAME is a registered model `NAME.lock`: only one process can create it. Its tags, which
are written with it, say who holds it since when and until when; a holder that died is recognised
at once on its own host, and when its time is over elsewhere.

A lock that is over is taken away by renaming it to `NAME.lock.TOKEN`, its tombstone, before a new
one is created. MLflow renames by name, not by content, so the tombstone's name is what makes this
safe. Let A be over, and two takers T and U have read it:

- T renames A, and U's rename finds no lock, or no row to change: U looks again.
- T renames A and creates B, and U's rename, meant for A, finds B: the name `NAME.lock.A` is taken,
  and the rename fails. B stays.
- T renames A and is killed: there is no lock, whoever is next creates one.

A holder releases in the same way: it renames its lock to its own tombstone, which fails where the
lock was taken away and is another's by now. The tombstone is deleted at once where the lock was not
over, for then nobody can be about to take it away; else it stays for a day, until another holder
removes it.

Before each write a holder confirms that the lock is still its own for MARGIN_SECONDS: a request
with all its repetitions ends in them, and hosts' clocks may differ by what is left. What no lock of
this kind can prevent: a holder that is suspended between `confirm` and its write for longer than
that. The ledger shows such a write as one behind its back.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from resnet.errors import PipelineError, UnreachableError
from resnet.registry.store import Client
from resnet.system import processes

from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

SUFFIX = ".lock"
TERM_SECONDS = 300.0  # that a lock is held at most: a model is downloaded, loaded and asked in it
MARGIN_SECONDS = 120.0  # that must be left before a write: MLflow gives a request 3 × 30 s
WAIT_SECONDS = 120.0
POLL_SECONDS = 0.25
TOMBSTONE_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, as its tags say."""

    token: str
    who: str
    process: str  # see `processes.identity`
    since: datetime
    until: datetime

    @classmethod
    def read(cls, client: Client, name: str) -> Self | None:
        """The holder of the lock of `name`; None where nobody holds it."""
        torn = None
        while model := _find(client, name + SUFFIX):
            tags = model.tags
            try:
                since, until = (datetime.fromisoformat(tags[key]) for key in ("since", "until"))
                return cls(tags["token"], tags["who"], tags["process"], since, until)
            except (KeyError, ValueError):
                # MLflow reads a model first and then its tags: a lock that is taken away between
                # the two seems to have none. It does not come back, so the second look differs.
                if torn == model.creation_timestamp:
                    raise PipelineError(
                        f"the registered model {name}{SUFFIX} stands where the lock of {name} "
                        "belongs, without a holder in its tags: delete or rename it in MLflow"
                    ) from None
                torn = model.creation_timestamp
        return None

    @property
    def is_over(self) -> bool:
        return self.until <= datetime.now(UTC) or processes.has_ended(self.process)

    def __str__(self) -> str:
        since, until = (f"{one:%Y-%m-%d %H:%M:%S}" for one in (self.since, self.until))
        host, pid, *_ = self.process.split(" ")
        return (
            f"{self.who} (process {pid} on {host}) since {since}, until {until} UTC at the latest"
        )


@dataclass(frozen=True)
class Lock:
    """The lock of the registered model `name`, held by this process."""

    client: Client
    name: str
    token: str

    def confirm(self) -> None:
        """Raise PipelineError unless this lock is held, and for long enough to write an alias."""
        holder = Holder.read(self.client, self.name)
        if holder and holder.token == self.token:
            left = (holder.until - datetime.now(UTC)).total_seconds()
            if left >= MARGIN_SECONDS:
                return
            found = f"has {left:.0f} s left, {MARGIN_SECONDS:.0f} s are wanted"
        else:
            found = f"is held by {holder}" if holder else "is not there any more"
        raise PipelineError(
            f"the lock {self.name}{SUFFIX}, taken for {TERM_SECONDS:.0f} s, {found}: this took too "
            "long; look at 'resnet history', and try again"
        )

    def release(self) -> None:
        """Give the lock back, if it is still this one."""
        holder = Holder.read(self.client, self.name)
        mine = holder if holder and holder.token == self.token else None
        if mine and _bury(self.client, self.name, self.token) and not mine.is_over:
            self.client.delete_registered_model(_tombstone(self.name, self.token))


@contextmanager
def holding(client: Client, name: str, who: str) -> Iterator[Lock]:
    """Hold the lock of the registered model `name` in the block. `who` is told to those who wait.

    Raises PipelineError where another holds it for too long.
    """
    lock = Lock(client, name, uuid.uuid4().hex)
    try:
        _take(lock, who)
        _sweep(client, name)
        yield lock
    finally:
        with suppress(UnreachableError):  # then its time ends it, and the first error is told
            lock.release()


def _take(lock: Lock, who: str) -> None:
    client, name = lock.client, lock.name
    deadline = time.monotonic() + WAIT_SECONDS
    while not _create(lock, who):
        holder = Holder.read(client, name)
        if holder and holder.token == lock.token:
            break  # the answer to our request was lost, and MLflow has repeated it
        if time.monotonic() > deadline:
            raise PipelineError(
                f"{name} is being moved by {holder or 'others in turn'}: waited "
                f"{WAIT_SECONDS:.0f} s for the lock {name}{SUFFIX}; try again later"
            )
        if not (holder and holder.is_over and _bury(client, name, holder.token)):
            time.sleep(POLL_SECONDS)


def _create(lock: Lock, who: str) -> bool:
    """Whether the lock could be made. It has its tags from the start."""
    now = datetime.now(UTC)
    tags = {
        "token": lock.token,
        "who": who,
        "process": processes.identity(),
        "since": now.isoformat(timespec="milliseconds"),
        "until": (now + timedelta(seconds=TERM_SECONDS)).isoformat(timespec="milliseconds"),
    }
    try:
        lock.client.create_registered_model(
            lock.name + SUFFIX, tags, f"Held by one process that changes {lock.name}; no model."
        )
    except MlflowException as error:
        # The second: it was released while MLflow looked at what exists.
        if error.error_code in ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"):
            return False
        raise
    return True


def _find(client: Client, name: str) -> RegisteredModel | None:
    """The registered model of that name; None where there is none."""
    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def _bury(client: Client, name: str, token: str) -> bool:
    """Rename the lock to the tombstone of `token`; whether this call did it."""
    try:
        client.rename_registered_model(name + SUFFIX, _tombstone(name, token))
    except MlflowException as error:
        # The last: another's rename came between MLflow's reading and its writing.
        quicker = ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST")
        if error.error_code in quicker:
            return False
        raise
    return True


def _sweep(client: Client, name: str) -> None:
    """Remove tombstones that nobody can still be about to meet."""
    before = (time.time() - TOMBSTONE_SECONDS) * 1000
    for found in client.search_registered_models(f"name LIKE '{name}{SUFFIX}.%'"):
        if found.last_updated_timestamp < before:
            client.delete_registered_model(found.name)


def _tombstone(name: str, token: str) -> str:
    return f"{name}{SUFFIX}.{token}"
