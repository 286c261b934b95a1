"""The MLflow store in use, and a client of it: the user's server, or a SQLite file of the checkout.

Importing this opens nothing. A SQLite store keeps its artifacts in a folder beside its file, in
whatever process and working directory it is opened.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import MethodType
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from resnet.checkout import project
from resnet.errors import PipelineError, UnreachableError
from resnet.registry import artifact_home, failures, sqlite_file, sqlite_schema
from resnet.registry.artifact_client import ArtifactClient
from resnet.registry.failures import UNAVAILABLE as UNAVAILABLE  # for modules that call the store

import mlflow
from mlflow.entities import Metric, RunTag
from mlflow.entities import Run as Run  # for modules that read runs and do not import mlflow
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList

T = TypeVar("T")

NOTE = "mlflow.note.content"  # the tag with the description of a run or an experiment
FINISHED = "FINISHED"  # a run's status: it is complete
WRITES = "create_", "delete_", "log_", "rename_", "restore_", "set_", "transition_", "update_"


class Client(ArtifactClient):
    """MLflow's client, whose methods raise UnreachableError if the store does not answer.

    They raise PipelineError if its file is damaged, or read-only and to be written.
    """

    def __getattribute__(self, name: str) -> Any:
        attribute = super().__getattribute__(name)
        if name.startswith("_") or not isinstance(attribute, MethodType):
            return attribute

        @wraps(attribute)
        def call(*args: Any, **kwargs: Any) -> Any:
            uri = self.tracking_uri
            if name.startswith(WRITES):
                sqlite_file.require_writable(uri)
            try:
                return failures.patiently(uri, lambda: attribute(*args, **kwargs))
            except (MlflowException, SQLAlchemyError) as error:
                failure = failures.of_call(uri, error)
                if failure is None:
                    raise
                raise failure from error

        return call


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI if it is set, else the SQLite store under `root`/.state/mlflow."""
    return sqlite_file.absolute(os.environ.get("MLFLOW_TRACKING_URI") or _local_uri(root))


def client(root: Path) -> Client:
    """A client of the store that `tracking_uri` names, which is the model registry as well.

    Raises UnreachableError, after some seconds, if a server does not answer, and PipelineError if
    a file is not a store, or the address is of no kind that MLflow can use.
    """
    return _open(tracking_uri(root), project.state(root))


def damage(root: Path) -> list[str]:
    """What is wrong with the SQLite file that `tracking_uri` names, in words.

    Empty if it is sound or missing, or the store is of another kind. Reads the whole file.
    """
    database = sqlite_file.path_of(tracking_uri(root))
    return sqlite_file.damage(database) if database and database.exists() else []


def _local_uri(root: Path) -> str:
    return f"{sqlite_file.SCHEME}{sqlite_file.local(root)}"


def _open(uri: str, state: Path) -> Client:
    database = sqlite_file.path_of(uri)
    if database:
        _prepare(database, sqlite_file.patience(uri))
    try:
        client = failures.patiently(uri, lambda: Client(uri, state))
        client.search_experiments(max_results=1)
    except (*UNAVAILABLE, *failures.UNUSABLE, UnreachableError) as error:
        raise failures.of_opening(uri, error) from error
    return client


def _prepare(database: Path, patience: float = sqlite_file.PATIENCE_SECONDS) -> None:
    """Create the SQLite file if it is missing. Raises PipelineError if MLflow must not open it."""
    sqlite_file.prepare(database, patience)
    sqlite_schema.require_current(database)


def upgrade(root: Path) -> str:
    """Upgrade the SQLite file that `tracking_uri` names to the installed MLflow; what was done.

    Raises PipelineError if there is none, or it cannot be upgraded.
    """
    uri = tracking_uri(root)
    database = sqlite_file.path_of(uri)
    if database is None or not database.exists():
        raise PipelineError(
            f"{uri} is no SQLite file that is there: whoever runs that store takes a backup, and "
            "upgrades it with 'mlflow db upgrade'"
        )
    copy = sqlite_schema.upgrade(database)
    if copy is None:
        return f"{database} is that of the installed MLflow already"
    return f"{database} is upgraded to the installed MLflow; the former one is {copy}"


def exists(root: Path) -> bool:
    """Whether the store may hold something; the SQLite file is not created to find out."""
    database = sqlite_file.path_of(tracking_uri(root))
    return database is None or database.exists()


def prepare_local(root: Path) -> str:
    """The address of the checkout's own SQLite store, which is created if it is missing."""
    _prepare(sqlite_file.local(root))
    return _local_uri(root)


def servable(root: Path) -> tuple[str, Path]:
    """The address and the artifact folder of the SQLite store that `tracking_uri` names.

    The store is created if it is missing. Raises PipelineError if it is a store of another kind.
    """
    uri = tracking_uri(root)
    database = sqlite_file.path_of(uri)
    if database is None:
        raise PipelineError(
            f"MLFLOW_TRACKING_URI is {uri}, which is neither a SQLite file "
            f"({sqlite_file.SCHEME}…) nor a server's address: name one of these, or unset the "
            "variable for the project's own store"
        )
    _prepare(database)
    return uri, sqlite_file.artifacts(database)


def local_artifacts(root: Path) -> Path:
    """The artifact folder of the checkout's own store."""
    return sqlite_file.artifacts(sqlite_file.local(root))


def require_own_artifacts(root: Path, name: str) -> None:
    """Raise PipelineError if the checkout's own store keeps artifacts of model `name` elsewhere.

    That is so in a checkout that was moved or copied; nothing could be published there.
    """
    database = sqlite_file.path_of(tracking_uri(root))
    if database and database == sqlite_file.local(root) and database.exists():
        artifact_home.require(database, name)


def experiment(client: Client, name: str, description: str | None = None) -> str:
    """The id of the experiment `name`, which is created if there is none.

    MLflow shows the `description`, if there is one, above its runs.

    Raises PipelineError if it is deleted, or keeps its artifacts in another checkout.
    """
    existing = client.get_experiment_by_name(name)
    if existing is None:
        database = sqlite_file.path_of(client.tracking_uri)
        location = (sqlite_file.artifacts(database) / name).as_uri() if database else None
        try:
            note = {NOTE: description} if description else None
            return str(client.create_experiment(name, location, note))
        except MlflowException as error:
            existing = client.get_experiment_by_name(name)  # another process has just created it
            if existing is None:
                raise error from None
    if existing.lifecycle_stage == "deleted":
        raise PipelineError(
            f"the MLflow experiment {name} is deleted: restore it with "
            f"'mlflow experiments restore --experiment-id {existing.experiment_id}'"
        )
    client.require_inside(existing.artifact_location)
    if description and NOTE not in existing.tags:  # an earlier release's
        client.set_experiment_tag(existing.experiment_id, NOTE, description)
    return str(existing.experiment_id)


def existing(read: Callable[[], T]) -> T | None:
    """What `read` returns; None if it asks for something that the store does not have."""
    try:
        return read()
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def pages(search: Callable[[str | None], PagedList[T]]) -> Iterator[T]:
    """All results of a `search` that MLflow answers in pages, each asked for by its token."""
    page = search(None)
    yield from page
    while page.token:
        page = search(page.token)
        yield from page


def set_tag(client: Client, run_id: str, name: str, value: str) -> None:
    """Set a tag that another process may set at the same time.

    `MlflowClient.set_tag` ends one of the two with an IntegrityError; a batch is tried again.
    """
    client.log_batch(run_id, tags=[RunTag(name, value)])


def log_metrics(client: Client, run_id: str, values: Mapping[str, float | None]) -> None:
    """Log metrics of the whole run, at step 0. Those that are None were not measured: left out."""
    now = time.time_ns() // 1_000_000
    metrics = [
        Metric(name, float(value), now, step=0)
        for name, value in values.items()
        if value is not None
    ]
    client.log_batch(run_id, metrics=metrics)


@contextmanager
def as_default(client: Client) -> Iterator[None]:
    """Make the store of `client` MLflow's default in the block, for functions that take no client.

    Some methods of a client look for a model in the default store, too, not in their own.
    """
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(client.tracking_uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before or "")
        if before is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)
