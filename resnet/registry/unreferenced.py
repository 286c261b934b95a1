"""Versions that no alias, event or tag holds, and runs that belong to no version."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from resnet.checkout.dvc_lock import DvcLock
from resnet.errors import PipelineError
from resnet.registry import versions
from resnet.registry.ledger import ledger
from resnet.registry.ledger.lock import Lock
from resnet.registry.store import Client
from resnet.registry.versions import Version
from resnet.system import processes

from mlflow.entities import FileInfo, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList

T = TypeVar("T")

KEEP = "keep"  # a tag of a version or a run: it stays
UNDER_WAY = ("RUNNING", "SCHEDULED")


@dataclass(frozen=True)
class Unheld:
    """What can go, and what the rest needs."""

    versions: Mapping[int, datetime]  # by number, and when it was registered
    runs: tuple[Run, ...]
    kept: tuple[ModelVersion, ...]  # of every registered model


def find(client: Client, name: str, before: datetime, resumed: Collection[str]) -> Unheld:
    """The versions and runs of `name`, from `before` that time, that nothing holds.

    Runs whose training is under way stay, and those whose ids are in `resumed`: a checkpoint says
    that they will be gone on with. Raises PipelineError where the ledger is broken.
    """
    held, gone, kept = _told(client, name) | _named(client, name), {}, []
    for one in _pages(lambda page: client.search_model_versions(page_token=page)):
        number, made = int(one.version), _time(one.creation_timestamp)
        if one.name == name and number not in held and KEEP not in one.tags and made < before:
            gone[number] = made
        else:
            kept.append(one)
    owned = {one.run_id for one in kept} | set(resumed)
    runs = tuple(
        run
        for run in _runs(client, name)
        if run.info.run_id not in owned and KEEP not in run.data.tags and _is_over(run, before)
    )
    return Unheld(gone, runs, tuple(kept))


def needed(client: Client, found: Unheld, into: Path) -> set[str]:
    """The md5s of what the kept versions were made from and with; `into` is for downloads.

    Those are all outputs that their dvc.locks name, and the added batches of their profiles, which
    no lock names one by one. Raises PipelineError where one of this project's versions has no
    dvc.lock or no profile to be read.
    """
    md5s: set[str] = set()
    for one in found.kept:
        if "data_hash" in one.tags:  # it was registered by this project
            version = Version.of(one)
            folder = into / version.name / str(version.number)
            path = versions.fetch(client, version, "recipe/dvc.lock", folder)
            md5s.update(DvcLock.read(path.parent).outputs.values())
            md5s.update(versions.added(client, version, folder).values())
    return md5s


def delete_versions(lock: Lock, numbers: Iterable[int]) -> None:
    """Remove versions of the lock's model for good.

    MLflow deletes the aliases of a version with it, so each is looked at once more before. Raises
    PipelineError where something holds one by now: that one and those after it stay.
    """
    client, name = lock.client, lock.name
    told = _told(client, name)  # while the lock is held nothing is added
    for number in numbers:
        lock.confirm()
        tags = _tags(client, name, number)
        if tags is None:
            continue  # somebody else has deleted it
        if number in told | _named(client, name) or KEEP in tags:
            raise _taken(f"{name} version {number}")
        client.delete_model_version(name, str(number))


def delete_runs(client: Client, runs: Iterable[Run]) -> None:
    """Mark runs and the models that they logged as deleted; only `mlflow gc` removes the files.

    For a holder of the model's lock. Raises PipelineError where a run is under way again or a
    version was made of it by now: it and those after it stay.
    """
    for run in runs:
        run_id = run.info.run_id
        taken_up = _work(client.get_run(run_id)) != _work(run)
        if taken_up or client.search_model_versions(f"run_id = '{run_id}'"):
            raise _taken(f"run {run_id}")
        for model in _logged(client, run):
            client.delete_logged_model(model)
        client.delete_run(run_id)


def require_no_newer(client: Client, found: Unheld) -> None:
    """Raise PipelineError where a version of any model was registered since `found` was.

    What it needs is not in `needed` then. Nobody else registers one of a model whose lock is held.
    """
    known = {(one.name, int(one.version)) for one in found.kept}
    for one in _pages(lambda page: client.search_model_versions(page_token=page)):
        if (one.name, int(one.version)) not in known:
            raise PipelineError(
                f"{one.name} version {one.version} was registered while this was at work, and its "
                "data may be in DVC's cache: nothing was removed there; run 'resnet prune' again"
            )


def _taken(what: str) -> PipelineError:
    return PipelineError(
        f"{what} is held by now, and was not when this looked: it stays, and so does what was not "
        "removed before it; run 'resnet prune' again"
    )


def size(client: Client, run: Run) -> int:
    """Bytes of the run's artifacts, and of the models that it logged."""
    folders = [partial(client.list_artifacts, run.info.run_id)]
    folders += [partial(client.list_logged_model_artifacts, one) for one in _logged(client, run)]
    return sum(_bytes(folder, None) for folder in folders)


def _logged(client: Client, run: Run) -> list[str]:
    """Ids of the models that the run logged, those left out that are deleted already."""
    found = client.search_logged_models(
        [run.info.experiment_id], f"source_run_id = '{run.info.run_id}'"
    )
    return [str(one.model_id) for one in found]


def _told(client: Client, name: str) -> set[int]:
    """The numbers that an event names, one of what is being done among them."""
    found = ledger.whole(client, name)
    events = [*found.events, *found.unfinished]
    return {number for event in events for number in event.versions}


def _named(client: Client, name: str) -> set[int]:
    """The numbers that an alias names."""
    try:
        aliases = client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return set()
    return {int(number) for number in aliases.values()}


def _tags(client: Client, name: str, number: int) -> Mapping[str, str] | None:
    """The tags of a version; None where it is not there any more."""
    found = client.search_model_versions(f"name = '{name}' and version_number = {number}")
    return found[0].tags if found else None


def _runs(client: Client, name: str) -> Iterator[Run]:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return iter(())
    ids = [experiment.experiment_id]
    return _pages(lambda page: client.search_runs(ids, page_token=page))


def _is_over(run: Run, before: datetime) -> bool:
    """Whether nobody works for the run any more, since `before` that time."""
    if run.info.status in UNDER_WAY and not processes.has_ended(run.data.tags.get("trainer", "")):
        return False
    return _time(run.info.end_time or run.info.start_time) < before


def _work(run: Run) -> tuple[str, str | None]:
    """Whether, and by which process, the run is worked for."""
    return run.info.status, run.data.tags.get("trainer")


def _bytes(folder: Callable[[str | None], Iterable[FileInfo]], path: str | None) -> int:
    return sum(
        _bytes(folder, one.path) if one.is_dir else one.file_size or 0 for one in folder(path)
    )


def _pages(search: Callable[[str | None], PagedList[T]]) -> Iterator[T]:
    """All results of a search that MLflow answers in pages."""
    page = search(None)
    yield from page
    while page.token:
        page = search(page.token)
        yield from page


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
