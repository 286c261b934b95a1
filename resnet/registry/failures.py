"""What it is called when an MLflow store fails: away for now, damaged, or no store at all.

And how long a locked file is waited for, before that is a failure.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from resnet.errors import PipelineError, UnreachableError
from resnet.registry import sqlite_file

from mlflow.exceptions import MlflowException

# It logs the traceback of each error that it raises; a locked file is an error until it is not.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

T = TypeVar("T")

UNANSWERED = "TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR"  # error codes of a failing store
UNAVAILABLE = (MlflowException, SQLAlchemyError, OSError)  # what a failing store raises
UNUSABLE = (ImportError, ArgumentError, ValueError)  # what an address raises that is none


def patiently(uri: str, call: Callable[[], T]) -> T:
    """What `call` returns; it is repeated while another process has the SQLite file locked.

    SQLite waits itself, but for 5 to 20 s only. What failed so was rolled back.
    """
    deadline = time.monotonic() + sqlite_file.patience(uri)
    while True:
        try:
            return call()
        except Exception as error:
            if not sqlite_file.is_locked(error) or time.monotonic() > deadline:
                raise
        time.sleep(sqlite_file.POLL_SECONDS)


def of_call(uri: str, error: MlflowException | SQLAlchemyError) -> PipelineError | None:
    """What to raise for the error of a call; None if the store is well, and the call was wrong."""
    if sqlite_file.DAMAGED in f"{error}":
        return PipelineError(
            f"the MLflow store {uri} is damaged ({_first_line(error)}): restore it from a backup; "
            "'resnet doctor' checks the whole file"
        )
    if isinstance(error, SQLAlchemyError) or error.error_code in UNANSWERED:
        return _unreachable(uri, error)
    return None


def of_opening(uri: str, error: BaseException) -> PipelineError:
    """What to raise where a store cannot be opened."""
    # MLflow's own, below what `of_call` has made of it.
    cause = error.__cause__ if isinstance(error, UnreachableError) and error.__cause__ else error
    database = sqlite_file.path_of(uri)
    if database and sqlite_file.is_locked(cause):
        return sqlite_file.locked(database)
    if database:
        return PipelineError(
            f"{database} cannot be read as an MLflow store ({_first_line(cause)}): "
            f"{sqlite_file.RESTORE}"
        )
    if _is_unusable(cause):
        return PipelineError(
            f"MLFLOW_TRACKING_URI is {uri}, which MLflow cannot use ({_first_line(cause)}): "
            f"name a server (http://…), a SQLite file ({sqlite_file.SCHEME}…) or a database with a "
            "driver, or unset the variable for the project's own store"
        )
    return _unreachable(uri, cause)


def _is_unusable(error: BaseException) -> bool:
    """Whether the address itself is wrong, so that no server behind it would change anything."""
    code = getattr(error, "error_code", "")  # of an MlflowException
    return code == "INVALID_PARAMETER_VALUE" or isinstance(error, UNUSABLE)


def _unreachable(uri: str, error: BaseException) -> UnreachableError:
    database = sqlite_file.path_of(uri)
    if database and sqlite_file.is_locked(error):
        return sqlite_file.locked(database)
    remedy = (
        "check whether its disk is full or another program holds the file"
        if database
        else "start its server ('make ui' starts the project's own), or unset MLFLOW_TRACKING_URI"
    )
    return UnreachableError(
        f"the MLflow store {uri} does not answer ({_first_line(error)}): {remedy}"
    )


def _first_line(error: BaseException) -> str:
    return f"{error}".strip().partition("\n")[0][:200]
