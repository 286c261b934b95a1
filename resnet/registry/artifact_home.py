"""Where a checkout's own store keeps its artifacts, and which records name another place.

MLflow records absolute locations. In a checkout that was moved they name a folder that is gone, and
whoever writes there makes it anew; in a copy they name the original's artifacts.
"""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

from resnet.errors import PipelineError
from resnet.registry import sqlite_file

# The columns of MLflow's tables that hold a location; older releases lack some of them.
COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
    ("trace_tags", "value"),
)


def former(database: Path) -> list[str]:
    """The artifact folders of other checkouts that records in the file name, as they name them.

    Each is an address (file:///…) or a path. What MLflow keeps at an address of another kind, or in
    a folder of another name, was put there on purpose. Raises PipelineError where the file is no
    store.
    """
    home = sqlite_file.artifacts(database)
    tail = re.escape("/".join(home.parts[-2:]))
    pattern = re.compile(f"((?:file://)?/.*/{tail})(?:/.*)?")
    matches = filter(None, map(pattern.fullmatch, _locations(database)))
    return sorted({match[1] for match in matches} - {home.as_uri(), str(home)})


def require(database: Path, name: str) -> None:
    """Raise PipelineError if an experiment of the model `name` keeps its artifacts elsewhere."""
    query = "SELECT artifact_location FROM experiments WHERE name = ? OR name LIKE ? || '-%'"
    with sqlite_file.reading(database) as connection:
        locations = [str(location) for (location,) in connection.execute(query, (name, name))]
    for location in locations:
        require_inside(location, sqlite_file.artifacts(database))


def require_inside(location: str, home: Path) -> None:
    """Raise PipelineError if a location on this machine's disk is not below the folder `home`.

    Links are followed: a checkout that was moved may have left one in its place.
    """
    folder = folder_of(location)
    if folder is not None and not folder.resolve().is_relative_to(home.resolve()):
        raise PipelineError(
            f"the registry names artifacts in {folder}, which is not in this checkout: it was "
            "moved, or copied from there; 'resnet relocate' lets the registry name its own "
            f"artifacts, in {home}"
        )


def require_present(location: str) -> None:
    """Raise PipelineError if a location on this machine's disk is not there."""
    folder = folder_of(location)
    if folder is not None and not folder.is_dir():
        raise PipelineError(
            f"the artifacts {folder} are not there, and are not made anew: restore the folder; "
            "'resnet doctor' shows what else is missing"
        )


def folder_of(location: str) -> Path | None:
    """The folder of a location on this machine's disk; None for one on a server."""
    address = urlparse(location)
    return Path(unquote(address.path)) if address.scheme in ("", "file") else None


def columns(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Those of `COLUMNS` that the file has."""
    query = "SELECT 1 FROM pragma_table_info(?) WHERE name = ?"
    return [column for column in COLUMNS if connection.execute(query, column).fetchone()]


def _locations(database: Path) -> Iterator[str]:
    sqlite_file.prepare(database)
    with sqlite_file.reading(database) as connection:
        for table, column in columns(connection):
            rows = connection.execute(f"SELECT DISTINCT {column} FROM {table}")  # noqa: S608
            yield from (str(row[0]) for row in rows)
