"""One process at a time changes a registered model: a lock between hosts, in any MLflow store.

The lock of NAME is a registered model `NAME.lock`: only one process can create it. Its tags, which
are written with it, name its holder, when it was taken and when it expires. On its own host a
holder that died is recognised at once, elsewhere when its lock expires.

An expired lock is removed by renaming it to `NAME.lock.TOKEN`, its tombstone, before a new one is
created. MLflow renames by name, not by content, so the tombstone's name is what makes this safe.
Let A be expired, and two takers T and U have read it:

- T renames A, and U's rename finds no lock, or no row to change: U looks again.
- T renames A and creates B, and U's rename, meant for A, finds B: the name `NAME.lock.A` is taken,
  and the rename fails. B stays.
- T renames A and is killed: there is no lock, the next taker creates one.

A holder releases in the same way: it renames its lock to its own tombstone, which fails if the lock
was removed and is another's by now. The tombstone is deleted at once if the lock was not expired,
for then no taker can be about to remove it; else it stays for a day, until another holder deletes
it.

While it is held a thread of its process renews it, as long as MARGIN_SECONDS are left. So it lasts
as long as the work, and not much longer than the process. A renewal that comes too late, from a
process that was suspended, finds no lock of that name, or prolongs another's, which does no harm.

Before each write a holder confirms that it still has the lock for MARGIN_SECONDS: a request with
all its retries ends within them, as does the wait for a locked SQLite file, which is at most
`sqlite_file.PATIENCE_SECONDS` and MLflow's last try; hosts' clocks may differ by the rest.
No lock of this kind can stop a holder that is suspended between `confirm` and its write for longer
than that. The ledger shows such a write as a change outside of it.
"""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from resnet.errors import PipelineError, UnreachableError
from resnet.registry import store
from resnet.registry.store import Client
from resnet.system import processes

from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

SUFFIX = ".lock"
TERM_SECONDS = 300.0  # until a lock expires that is not renewed
MARGIN_SECONDS = 120.0  # that must be left before a write: MLflow allows a request 3 × 30 s
WAIT_SECONDS = 120.0
POLL_SECONDS = 0.25
TOMBSTONE_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, from its tags."""

    token: str
    who: str
    process: str  # see `processes.identity`
    since: datetime
    until: datetime

    @classmethod
    def read(cls, client: Client, name: str) -> Self | None:
        """The holder of the lock of `name`; None if nobody holds it."""
        torn = None
        while model := _find(client, name + SUFFIX):
            tags = model.tags
            try:
                since, until = (datetime.fromisoformat(tags[key]) for key in ("since", "until"))
                return cls(tags["token"], tags["who"], tags["process"], since, until)
            except (KeyError, ValueError):
                # MLflow reads a model first and then its tags: a lock that is removed between the
                # two seems to have none. It does not come back, so the second read differs.
                if torn == model.creation_timestamp:
                    raise PipelineError(
                        f"the registered model {name}{SUFFIX} has the name of the lock of {name}, "
                        "but no holder in its tags: delete or rename it in MLflow"
                    ) from None
                torn = model.creation_timestamp
        return None

    @property
    def is_over(self) -> bool:
        """Whether the lock expired, or its process ended."""
        return self.until <= datetime.now(UTC) or processes.has_ended(self.process)

    def __str__(self) -> str:
        since, until = (f"{time:%Y-%m-%d %H:%M:%S}" for time in (self.since, self.until))
        host, pid, *_ = self.process.split(" ")
        return (
            f"{self.who} (process {pid} on {host}) since {since}, until {until} UTC or as renewed"
        )


@dataclass(frozen=True)
class ModelLock:
    """The lock of the registered model `name`, held by this process."""

    client: Client
    name: str
    token: str

    def confirm(self) -> None:
        """Raise PipelineError unless this lock is held, and for long enough to write safely."""
        holder = Holder.read(self.client, self.name)
        if holder and holder.token == self.token:
            left = (holder.until - datetime.now(UTC)).total_seconds()
            if left >= MARGIN_SECONDS:
                return
            state = f"expires in {left:.0f} s" if left > 0 else "has expired"
            problem = f"{state}, too soon to write safely ({MARGIN_SECONDS:.0f} s needed)"
        else:
            problem = f"is held by {holder} by now" if holder else "no longer exists"
        raise PipelineError(
            f"the lock {self.name}{SUFFIX}, taken for {TERM_SECONDS:.0f} s, {problem}: see "
            "'resnet history', and try again"
        )

    def renew(self) -> None:
        """Let the lock expire TERM_SECONDS from now, if it is held and can still be confirmed."""
        self.confirm()
        self.client.set_registered_model_tag(self.name + SUFFIX, "until", _until(datetime.now(UTC)))

    def release(self) -> None:
        """Release the lock, if it is still this one."""
        holder = Holder.read(self.client, self.name)
        own = holder if holder and holder.token == self.token else None
        if own and _bury(self.client, self.name, self.token) and not own.is_over:
            self.client.delete_registered_model(_tombstone(self.name, self.token))


@contextmanager
def holding(client: Client, name: str, who: str) -> Iterator[ModelLock]:
    """Hold the lock of the registered model `name` in the block. Processes that wait see `who`.

    It is renewed however long the block takes. Raises PipelineError if another process holds it for
    too long.
    """
    lock = ModelLock(client, name, uuid.uuid4().hex)
    try:
        _take(lock, who)
        _sweep(client, name)
        with _renewing(lock):
            yield lock
    finally:
        with suppress(UnreachableError):  # then it expires, and the first error is raised
            lock.release()


@contextmanager
def _renewing(lock: ModelLock) -> Iterator[None]:
    """Renew the lock in a thread, well before it could not be confirmed any more."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait((TERM_SECONDS - MARGIN_SECONDS) / 3):
            with suppress(PipelineError, *store.UNAVAILABLE):  # then `confirm` tells the holder
                lock.renew()

    thread = threading.Thread(target=renew, name=f"renews {lock.name}{SUFFIX}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _take(lock: ModelLock, who: str) -> None:
    client, name = lock.client, lock.name
    deadline = time.monotonic() + WAIT_SECONDS
    while not _create(lock, who):
        holder = Holder.read(client, name)
        if holder and holder.token == lock.token:
            break  # the response to our request was lost, and MLflow has retried it
        if time.monotonic() > deadline:
            raise PipelineError(
                f"the lock {name}{SUFFIX} is held by {holder or 'several processes in turn'}: "
                f"waited {WAIT_SECONDS:.0f} s for it; try again later"
            )
        if not (holder and holder.is_over and _bury(client, name, holder.token)):
            time.sleep(POLL_SECONDS)


def _create(lock: ModelLock, who: str) -> bool:
    """Try to create the lock, with its tags. Returns whether that was possible."""
    now = datetime.now(UTC)
    tags = {
        "token": lock.token,
        "who": who,
        "process": processes.identity(),
        "since": now.isoformat(timespec="milliseconds"),
        "until": _until(now),
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


def _until(now: datetime) -> str:
    """When a lock expires that is taken or renewed `now`."""
    return (now + timedelta(seconds=TERM_SECONDS)).isoformat(timespec="milliseconds")


def _find(client: Client, name: str) -> RegisteredModel | None:
    """The registered model of that name; None if there is none."""
    return store.existing(lambda: client.get_registered_model(name))


def _bury(client: Client, name: str, token: str) -> bool:
    """Rename the lock to the tombstone of `token`. Returns whether this call did it."""
    try:
        client.rename_registered_model(name + SUFFIX, _tombstone(name, token))
    except MlflowException as error:
        # The last: another's rename came between MLflow's reading and its writing.
        renamed_already = ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST")
        if error.error_code in renamed_already:
            return False
        raise
    return True


def _sweep(client: Client, name: str) -> None:
    """Delete the tombstones that no taker can still be about to rename a lock to."""
    before = (time.time() - TOMBSTONE_SECONDS) * 1000
    for tombstone in client.search_registered_models(f"name LIKE '{name}{SUFFIX}.%'"):
        if tombstone.last_updated_timestamp < before:
            client.delete_registered_model(tombstone.name)


def _tombstone(name: str, token: str) -> str:
    return f"{name}{SUFFIX}.{token}"
