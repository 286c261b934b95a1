"""The schema of a SQLite store, which belongs to one release of MLflow: checked, and upgraded.

MLflow upgrades a file by itself, without a copy of it, if an older release lacks one of its tables;
so the schema is checked before MLflow opens the file.
"""

import sqlite3
from contextlib import closing
from functools import cache
from itertools import chain, count
from pathlib import Path

from filelock import FileLock

from resnet.errors import PipelineError
from resnet.registry import sqlite_file
from resnet.system import files


def require_current(database: Path) -> None:
    """Raise PipelineError unless the file has the schema of the installed MLflow."""
    found = sqlite_file.revision(database)
    if found == _latest():
        return
    if _is_known(found):
        raise PipelineError(
            f"{database} was written by an older MLflow (schema {found}, now {_latest()}): "
            "'resnet upgrade-store' keeps a copy of it and upgrades it; stop its servers first"
        )
    raise PipelineError(
        f"{database} was written by a newer MLflow (schema {found}, known up to {_latest()}): "
        "install that release, or use the copy from before its upgrade"
    )


def upgrade(database: Path) -> Path | None:
    """Upgrade the file, of which a copy stays beside it. Returns the copy; None if it is current.

    Raises PipelineError if it cannot be upgraded: then it is as it was.
    """
    sqlite_file.require_writable(f"{sqlite_file.SCHEME}{database}")
    with FileLock(database.with_suffix(".lock")):
        found = sqlite_file.revision(database)  # another upgrade may just have ended
        if found == _latest():
            return None
        copy = _unused(database.with_name(f"{database.name}.{found}"))
        try:
            with files.replacing(copy) as draft:
                _copy(database, draft)
        except (sqlite3.Error, OSError) as error:
            raise PipelineError(
                f"{database} is as it was: its copy {copy} was not written ({error}); free some "
                "space if the disk is full, and run this again"
            ) from error
        _upgrade(database, copy)
    return copy


def _upgrade(database: Path, copy: Path) -> None:
    """Upgrade the file, or make it what the copy is and raise PipelineError."""
    from mlflow.store.db import utils

    engine = utils.create_sqlalchemy_engine(f"{sqlite_file.SCHEME}{database}")
    try:
        utils._upgrade_db(engine)
    except BaseException as error:
        engine.dispose()
        try:
            _copy(copy, database)
        except (sqlite3.Error, OSError) as second:
            raise PipelineError(
                f"{database} was upgraded only in part ({error}), and could not be restored "
                f"({second}): put its copy {copy} in its place"
            ) from error
        raise PipelineError(
            f"{database} was not upgraded ({error}): it is as it was; a copy is {copy}"
        ) from error
    finally:
        engine.dispose()


def _unused(path: Path) -> Path:
    """The path, or the first with a number after it that is not there: no copy is replaced."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in count(2))
    return next(one for one in chain([path], numbered) if not one.exists())


def _copy(source: Path, target: Path) -> None:
    """A copy by SQLite, which waits for those who write."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


@cache
def _latest() -> str:
    from mlflow.store.db import utils

    return str(utils._get_latest_schema_revision())


def _is_known(revision: str | None) -> bool:
    """Whether it is one of those that the installed MLflow can upgrade from."""
    from alembic.script import ScriptDirectory

    from mlflow.store.db import utils

    scripts = ScriptDirectory.from_config(utils._get_alembic_config(""))
    return revision in {script.revision for script in scripts.walk_revisions()}
