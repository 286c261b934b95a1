"""Let the store of a checkout that was moved or copied name the artifacts that came with it."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from resnet.errors import PipelineError
from resnet.registry import artifact_home, sqlite_file
from resnet.system import files

# Versions that exist, by whether the folder of their run is there; MLflow keeps deleted ones so.
VERSIONS = (
    "SELECT DISTINCT runs.artifact_uri FROM model_versions JOIN runs "
    "ON runs.run_uuid = model_versions.run_id WHERE current_stage != 'Deleted_Internal'"
)


@dataclass(frozen=True)
class Relocation:
    """What `relocate` did."""

    former: Sequence[Path]  # the folders that the records named
    home: Path  # the folder that they name now
    changed: int  # records
    backup: Path | None  # the store as it was before; None if nothing was changed

    def __str__(self) -> str:
        if not self.backup:
            return f"nothing to relocate: the registry names its own artifacts, in {self.home}"
        return (
            f"{self.changed} records that named {' and '.join(map(str, self.former))} name "
            f"{self.home} now; the store as it was before is {self.backup}"
        )


def former_folders(root: Path) -> list[Path]:
    """The artifact folders outside of the checkout that its own store names; [] without a store."""
    database = sqlite_file.local(root)
    if not database.exists():
        return []
    folders = set(map(_folder, artifact_home.former(database)))
    return sorted(folder for folder in folders if not _is_own(folder, database))


def relocate(root: Path, copied: bool = False) -> Relocation:
    """Make the records of the checkout's own store name the artifacts beside it, and back it up.

    Files stay as they are. All records are changed, or none. With `copied` the former folder is
    another checkout's and stays so. Raises PipelineError if there is no store, if a process uses
    it, if the former folder has files and `copied` is not given, and if the artifacts did not come
    with the checkout.
    """
    database = sqlite_file.local(root)
    home = sqlite_file.artifacts(database)
    if not database.exists():
        raise PipelineError(f"{database} is not there: nothing is registered in this checkout yet")
    former = artifact_home.former(database)
    if not former:
        return Relocation([], home, 0, None)
    sqlite_file.require_writable(f"{sqlite_file.SCHEME}{database}")
    _require_unused(database, former)
    if not copied:
        _require_moved(former, database, root)
    _require_artifacts(database, former)
    backup = database.with_name(
        f"{database.name}.before-relocate-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    )
    changed = _rewrite(database, former, backup)
    return Relocation(sorted(set(map(_folder, former))), home, changed, backup)


def _rewrite(database: Path, former: Sequence[str], backup: Path) -> int:
    """Back the file up, and replace each former folder by its own; the number of records."""
    home, uri = sqlite_file.artifacts(database), f"{database.as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(uri, timeout=0, uri=True)) as connection:
            with files.replacing(backup) as draft, closing(sqlite3.connect(draft)) as copy:
                connection.backup(copy)
            connection.isolation_level = None  # the transaction is ours
            connection.execute("BEGIN EXCLUSIVE")
            with connection:
                return sum(
                    _rename(connection, place, _named(home, place), *column)
                    for place in former
                    for column in artifact_home.columns(connection)
                )
    except (sqlite3.OperationalError, OSError) as error:
        if sqlite_file.is_locked(error):
            problem = f"is in use ({error}): end what uses it"
        else:
            problem = f"was not changed ({error}): {sqlite_file.UNUSABLE_ADVICE}"
        raise PipelineError(f"{database} {problem}, and run this again") from error


def _rename(connection: sqlite3.Connection, old: str, new: str, table: str, column: str) -> int:
    """Let the values that name the folder `old`, or are below it, name `new`; their number."""
    return connection.execute(
        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608
        f"WHERE {column} = ? OR substr({column}, 1, ?) = ? || '/'",
        (new, len(old) + 1, old, len(old) + 1, old),
    ).rowcount


def _named(home: Path, place: str) -> str:
    """The folder `home` in the form of a recorded one."""
    return home.as_uri() if place.startswith("file:") else str(home)


def _folder(place: str) -> Path:
    folder = artifact_home.folder_of(place)
    assert folder is not None  # noqa: S101  (`former` lists only such)
    return folder


def _is_own(folder: Path, database: Path) -> bool:
    """Whether a link leads from the former folder to the store's own artifacts."""
    return folder.resolve().is_relative_to(sqlite_file.artifacts(database).resolve())


def _require_moved(former: Sequence[str], database: Path, root: Path) -> None:
    for folder in map(_folder, former):
        if _is_own(folder, database):
            continue
        if any(path.is_file() for path in folder.rglob("*")):
            raise PipelineError(
                f"{folder}, which the registry names, still has files. If this checkout is a copy "
                "and that one stays: 'resnet relocate --copied' gives this one a registry of its "
                f"own, with the artifacts in {root}. If it was moved: bring over what is still "
                "there, remove that folder, and run this again"
            )


def _require_artifacts(database: Path, former: Sequence[str]) -> None:
    """Raise PipelineError if the artifacts of no version are here: they did not come along."""
    home = sqlite_file.artifacts(database)
    with sqlite_file.reading(database) as connection:
        locations = [str(location) for (location,) in connection.execute(VERSIONS)]
    folders = [
        home / _folder(location).relative_to(_folder(place))
        for location in locations
        for place in former
        if location.startswith(f"{place}/")
    ]
    if folders and not any(folder.is_dir() for folder in folders):
        raise PipelineError(
            f"{home} has the artifacts of none of the {len(folders)} versions: bring them over "
            f"from {_folder(former[0])} first"
        )


def _require_unused(database: Path, former: Sequence[str]) -> None:
    # A server that was started before the move was given the file's former name.
    before = [_folder(place).with_name(database.name) for place in former]
    # So may one have been whose name leads here by a link.
    own = [path for path in before if not path.exists() or path.resolve() == database]
    names = {str(database), *map(str, own)}
    users = [user for process in psutil.process_iter() for user in _user(process, names)]
    if users:
        raise PipelineError(
            f"{database} is used by {' and '.join(users)}: end it ('make ui' by Ctrl-C), and run "
            "this again"
        )


def _user(process: psutil.Process, names: set[str]) -> Iterator[str]:
    """The process in words, if it has one of the files open or was started with its address."""
    try:
        words = process.cmdline()
        opened = {file.path for file in process.open_files()}
    except psutil.Error:  # it has ended, or is another account's, whose files nobody may see
        return
    told = any(f"{sqlite_file.SCHEME}{name}" in word for word in words for name in names)
    if process.pid != os.getpid() and (told or opened & names):
        yield f"process {process.pid} ({process.name()})"
