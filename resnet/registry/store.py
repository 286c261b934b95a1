"""Which MLflow remembers: the server that the user names, or a SQLite file of the checkout.

Nothing here is opened before it is asked for. A SQLite store keeps its artifacts in a folder
beside its file, whoever opens it and from wherever.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, wraps
from pathlib import Path
from types import MethodType
from typing import Any
from urllib.parse import unquote, urlparse

from filelock import FileLock
from sqlalchemy.exc import SQLAlchemyError

from resnet.errors import PipelineError, UnreachableError
from resnet.system import addresses, files

# MLflow starts its telemetry when it is imported, which a flow does before it enters the checkout,
# and with it `project.environment`. Every module imports MLflow after this one: ruff sorts it last.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.entities import Run as Run  # for those who read runs, and import no mlflow
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

FINISHED = "FINISHED"  # a run's status: all of it is there
SQLITE = "sqlite:///"
UNANSWERED = ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR")  # MLflow's codes, of a store that fails
UNAVAILABLE = (MlflowException, SQLAlchemyError, OSError)  # of a store that does not do its work


class Client(MlflowClient):
    """MLflow's client, whose methods raise UnreachableError where the store does not answer."""

    def __getattribute__(self, name: str) -> Any:
        attribute = super().__getattribute__(name)
        if name.startswith("_") or not isinstance(attribute, MethodType):
            return attribute

        @wraps(attribute)
        def answering(*words: Any, **more: Any) -> Any:
            try:
                return attribute(*words, **more)
            except MlflowException as error:
                if error.error_code in UNANSWERED:
                    raise _unreachable(self.tracking_uri, error) from error
                raise

        return answering

    def fetch_artifact(self, run_id: str, path: str, into: Path) -> Path:
        """A copy of a run's artifact in the folder `into`.

        `download_artifacts` would look for logged models at `path` too, which takes twice as long
        with a SQLite file. Raises MlflowException where there is none.
        """
        location = self._locations.get(run_id)
        if location is None:
            location = self._locations[run_id] = self.get_run(run_id).info.artifact_uri
        try:
            repository = get_artifact_repository(location, self.tracking_uri)
            return Path(repository.download_artifacts(path, str(into)))
        except Exception as error:  # each kind of artifact store raises its own
            self.get_run(run_id)  # a store that went away says so itself
            raise MlflowException(f"{error}", error_code=RESOURCE_DOES_NOT_EXIST) from error

    @cached_property
    def _locations(self) -> dict[str, str]:
        """Where runs keep their artifacts: it never changes."""
        return {}


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI where it is set, else the SQLite store under `root`/.state/mlflow."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{_local_database(root)}"
    database = _database(uri)
    return f"{SQLITE}{database}" if database else uri


def client(root: Path) -> Client:
    """A client of the store that `tracking_uri` names; its registry is there too.

    Raises UnreachableError, after some seconds, where a server does not answer, and PipelineError
    where a file is no store.
    """
    return _open(tracking_uri(root))


def _open(uri: str) -> Client:
    database = _database(uri)
    if database:
        _prepare(database)
    try:
        opened = Client(tracking_uri=uri, registry_uri=uri)
        opened.search_experiments(max_results=1)
    except (*UNAVAILABLE, UnreachableError) as error:
        if database:
            raise PipelineError(
                f"{database} cannot be read as an MLflow store ({_first_line(error)}): restore it, "
                "or move it away to start anew"
            ) from error
        raise _unreachable(uri, error) from error
    return opened


def _unreachable(uri: str, error: Exception) -> UnreachableError:
    remedy = (
        "look whether its disk is full or another program holds the file"
        if _database(uri)
        else "start its server ('make ui' starts the project's own), or unset MLFLOW_TRACKING_URI"
    )
    return UnreachableError(
        f"the MLflow store {uri} does not answer ({_first_line(error)}): {remedy}"
    )


def _first_line(error: Exception) -> str:
    return f"{error}".partition("\n")[0][:200]


def pages(root: Path) -> str:
    """The address of MLflow's pages: the user's server, or where `make ui` puts the project's."""
    uri = tracking_uri(root)
    return uri if uri.startswith("http") else addresses.MLFLOW_UI


def exists(root: Path) -> bool:
    """Whether there may be something in the store; a SQLite file is not made to look."""
    database = _database(tracking_uri(root))
    return database is None or database.exists()


def prepare_local(root: Path) -> str:
    """The address of the checkout's own SQLite store, made where it is not there yet."""
    _prepare(_local_database(root))
    return f"{SQLITE}{_local_database(root)}"


def servable(root: Path) -> tuple[str, Path]:
    """The address and the artifacts' folder of the SQLite store that `tracking_uri` names.

    The store is made where it is not there yet. Raises PipelineError where another kind is named.
    """
    uri = tracking_uri(root)
    database = _database(uri)
    if database is None:
        raise PipelineError(
            f"MLFLOW_TRACKING_URI is {uri}, which is neither a SQLite file ({SQLITE}…) nor a "
            "server's address: name one of these, or unset the variable for the project's own store"
        )
    _prepare(database)
    return uri, _artifacts(database)


def local_artifacts(root: Path) -> Path:
    """Where the checkout's own store keeps its artifacts."""
    return _artifacts(_local_database(root))


def moved_experiments(root: Path) -> list[Path]:
    """Folders that the checkout's own store names for artifacts and that are not in it.

    Raises PipelineError where its file is no store.
    """
    database = _local_database(root)
    if not database.exists():
        return []
    opened = _open(f"{SQLITE}{database}")
    folders = (
        Path(unquote(urlparse(experiment.artifact_location).path))
        for experiment in opened.search_experiments()
        if urlparse(experiment.artifact_location).scheme in ("", "file")
    )
    home = local_artifacts(root)
    return [folder for folder in folders if not folder.is_relative_to(home)]


def experiment(opened: Client, name: str) -> str:
    """The id of the experiment `name`, made where there is none."""
    found = opened.get_experiment_by_name(name)
    if found is None:
        database = _database(opened.tracking_uri)
        place = (_artifacts(database) / name).as_uri() if database else None
        try:
            return str(opened.create_experiment(name, artifact_location=place))
        except MlflowException as error:
            found = opened.get_experiment_by_name(name)  # another process was quicker
            if found is None:
                raise error from None
    if found.lifecycle_stage == "deleted":
        raise PipelineError(
            f"the MLflow experiment {name} is deleted: restore it with "
            f"'mlflow experiments restore --experiment-id {found.experiment_id}'"
        )
    return str(found.experiment_id)


def log_metrics(client: Client, run_id: str, values: Mapping[str, float | None]) -> None:
    """At step 0: they belong to the whole run. What was not measured is left out."""
    now = time.time_ns() // 1_000_000
    measured = [
        Metric(name, float(value), now, step=0)
        for name, value in values.items()
        if value is not None
    ]
    client.log_batch(run_id, metrics=measured)


@contextmanager
def as_default(opened: Client) -> Iterator[None]:
    """Let what in MLflow is not a client's method use the store of `opened`, for a while.

    Some methods of a client look for a model in the default store too, not in their own.
    """
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(opened.tracking_uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before or "")
        if before is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)


def _prepare(database: Path) -> None:
    """Make the SQLite file whole, then put it in place: two first users would race its tables."""
    if database.exists():
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_suffix(".lock")):
        if database.exists():
            return
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        with files.replacing(database) as draft:
            made = SqlAlchemyStore(f"{SQLITE}{draft}", _artifacts(database).as_uri())
            made._dispose_engine()


def _local_database(root: Path) -> Path:
    return (root / ".state" / "mlflow" / "mlflow.db").resolve()


def _database(uri: str) -> Path | None:
    """The file of a SQLite store; None for any other store."""
    return Path(uri.removeprefix(SQLITE)).resolve() if uri.startswith(SQLITE) else None


def _artifacts(database: Path) -> Path:
    return database.with_name("artifacts")
