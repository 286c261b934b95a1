"""The SQLite file of an MLflow store: where it is, whether it is one, and how it is made.

Importing this loads neither MLflow nor SQLAlchemy, and opens nothing.
"""

import math
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import parse_qs

from filelock import FileLock

from resnet.checkout import project
from resnet.errors import PipelineError, UnreachableError
from resnet.system import account, disk_errors, files

SCHEME = "sqlite:///"
TABLES = {"alembic_version", "experiments", "runs"}  # some of MLflow's, of every release
DAMAGED = "(sqlite3.DatabaseError)"  # in the text of MLflow's error; that of a lock is another
UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)  # the latter by sqlite3, for its own text
LOCKED = "database is locked"
# How long a locked file is waited for; `?timeout=…` in the address waits less. Not more: MLflow's
# last try takes up to 20 s, and who holds a model's lock writes within `lock.MARGIN_SECONDS`.
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.1
UNUSABLE_ADVICE = f"free some space if its disk is full, else {disk_errors.ADVICE}"
RESTORE = "restore it, or move it away to start with an empty one"


def path_of(uri: str) -> Path | None:
    """The file of a SQLite store; None for any other store."""
    if not uri.startswith(SCHEME):
        return None
    return Path(uri.removeprefix(SCHEME).partition("?")[0]).resolve()


def absolute(uri: str) -> str:
    """The address with an absolute path if it is a file's; options such as `?timeout=60` stay."""
    database, (_, mark, options) = path_of(uri), uri.partition("?")
    return f"{SCHEME}{database}{mark}{options}" if database else uri


def patience(uri: str) -> float:
    """How many seconds a locked file is waited for.

    Raises PipelineError if the address says no number from 0 to PATIENCE_SECONDS.
    """
    text = parse_qs(uri.partition("?")[2]).get("timeout", [f"{PATIENCE_SECONDS}"])[-1]
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if 0 <= seconds <= PATIENCE_SECONDS:
        return seconds
    raise PipelineError(
        f"the MLflow store {uri} has the timeout {text!r}: write seconds, as in ?timeout=30, at "
        f"most {PATIENCE_SECONDS:.0f}, so that a write that had to wait does not outlast a lock "
        "of the registry"
    )


def is_locked(error: BaseException | None) -> bool:
    """Whether the error says that another process has the file locked."""
    return LOCKED in f"{error}"


def locked(database: Path) -> UnreachableError:
    """The error if it was locked for too long."""
    return UnreachableError(
        f"{database} is locked by another program, and was waited for: try again when it has ended"
    )


def local(root: Path) -> Path:
    """The file of the checkout's own store; it need not be there yet."""
    return in_state(root / project.STATE)


def in_state(state: Path) -> Path:
    """The same, by the checkout's folder for state."""
    return (state / "mlflow" / "mlflow.db").resolve()


def artifacts(database: Path) -> Path:
    """The folder beside it in which a store keeps its artifacts."""
    return database.with_name("artifacts")


def prepare(database: Path, patience: float = PATIENCE_SECONDS) -> None:
    """Create the file beside its place, then rename it: two first users would race.

    Raises PipelineError if there is a file that is no MLflow store, such as an empty one: MLflow
    would take it for a new one, and the history would seem never to have been. A locked file is
    waited for, `patience` seconds.
    """
    if database.exists():
        _require_store(database, patience)
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_suffix(".lock")):
        if database.exists():
            return
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        with files.replacing(database) as draft:
            store = SqlAlchemyStore(f"{SCHEME}{draft}", artifacts(database).as_uri())
            store._dispose_engine()


def require_writable(uri: str) -> None:
    """Raise PipelineError if the store is a file that this account can only read."""
    database = path_of(uri)
    if database is None or not database.exists():
        return
    for path in (database, database.parent):  # SQLite keeps its journal beside the file
        if not os.access(path, os.W_OK):
            raise PipelineError(
                f"{path} cannot be written by account {account.user()}: {disk_errors.ADVICE}"
            )


def damage(database: Path) -> list[str]:
    """What SQLite's own check finds wrong first with the file, in its words; empty if it is sound.

    It reads the whole file and writes nothing. Raises UnreachableError if it stays locked, and
    PipelineError if this account or the disk does not let it be read.
    """
    try:
        with reading(database) as connection:
            rows = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
    except UnreachableError:
        raise
    except PipelineError as error:
        if isinstance(error.__cause__, sqlite3.OperationalError):
            raise  # the disk's or the account's fault: the file may be sound
        return [str(error.__cause__)]
    return [row for row in rows if row != "ok"]


def revision(database: Path) -> str | None:
    """The revision of MLflow's schema that the file has; None if it does not say.

    Raises PipelineError if it cannot be read.
    """
    with reading(database) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def _require_store(database: Path, patience: float) -> None:
    if database.stat().st_size == 0:
        raise PipelineError(f"{database} is empty, 0 bytes, and no MLflow store: {RESTORE}")
    with reading(database, patience) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        missing = sorted(TABLES - {name for (name,) in rows})
    if missing:
        raise PipelineError(
            f"{database} is no MLflow store, it lacks the tables {', '.join(missing)}: {RESTORE}"
        )


@contextmanager
def reading(database: Path, patience: float = PATIENCE_SECONDS) -> Iterator[sqlite3.Connection]:
    """A connection that creates no file. It may write: after a crash SQLite has to roll back.

    Raises UnreachableError if the file is locked longer than `patience` seconds, and PipelineError
    if it cannot be read.
    """
    uri = f"{database.as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(uri, timeout=patience, uri=True)) as connection:
            yield connection
    except UNREADABLE as error:
        if is_locked(error):
            raise locked(database) from error
        if isinstance(error, sqlite3.OperationalError):
            raise PipelineError(
                f"{database} cannot be used ({error}): {UNUSABLE_ADVICE}"
            ) from error
        raise PipelineError(
            f"{database} cannot be read as an MLflow store ({error}): {RESTORE}"
        ) from error
