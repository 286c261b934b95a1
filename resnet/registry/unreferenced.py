"""Versions that no alias, event or tag references, and runs that belong to no version."""

import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from resnet.checkout.dvc_lock import DvcLock
from resnet.errors import PipelineError
from resnet.registry import store, versions
from resnet.registry.ledger import ledger
from resnet.registry.ledger.event import divided, joined
from resnet.registry.ledger.lock import ModelLock
from resnet.registry.store import Client
from resnet.registry.versions import Version
from resnet.system import processes

from mlflow.entities import FileInfo, Run
from mlflow.entities.model_registry import ModelVersion

NEEDS = "needs"  # a tag of a version: how many md5s of data it needs, and these
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
KEEP = "keep"  # a tag of a version or a run that is never removed
IN_PROGRESS = ("RUNNING", "SCHEDULED")


@dataclass(frozen=True)
class Unreferenced:
    """What can be removed, and which versions remain."""

    versions: Mapping[int, datetime]  # when each was registered, by its number
    runs: tuple[Run, ...]
    remaining: tuple[ModelVersion, ...]  # of every registered model


def find(client: Client, name: str, before: datetime, resumed: Collection[str]) -> Unreferenced:
    """The versions and runs of `name`, from before the time `before`, that nothing references.

    Runs stay whose training is in progress, and those whose ids are in `resumed`, for a checkpoint
    will resume them. Raises PipelineError if the ledger is broken.
    """
    referenced = _in_ledger(client, name) | _with_alias(client, name)
    removable, remaining = {}, []
    for version in store.pages(lambda page: client.search_model_versions(page_token=page)):
        number, registered = int(version.version), _time(version.creation_timestamp)
        kept = number in referenced or KEEP in version.tags
        if version.name == name and not kept and registered < before:
            removable[number] = registered
        else:
            remaining.append(version)
    owned = {version.run_id for version in remaining} | set(resumed)
    runs = tuple(
        run
        for run in _runs(client, name)
        if run.info.run_id not in owned and KEEP not in run.data.tags and _has_ended(run, before)
    )
    return Unreferenced(removable, runs, tuple(remaining))


def needed(client: Client, unreferenced: Unreferenced, into: Path) -> set[str]:
    """The md5s of all data and models that the remaining versions need; `into` is for downloads.

    A version says it in its tags (see `record_needed`); the files of one that does not are read.
    Raises PipelineError if the dvc.lock or the profile of such a version of this project cannot be
    read.
    """
    md5s: set[str] = set()
    for registered in unreferenced.remaining:
        if "data_hash" in registered.tags:  # this project registered it
            recorded = _recorded(registered.tags)
            md5s |= _read_needed(client, registered, into) if recorded is None else recorded
    return md5s


def record_needed(client: Client, version: Version) -> None:
    """Let the version's tags say which data it needs, unless they do; for `needed`.

    Raises PipelineError if the version's files do not say it.
    """
    name, number = version.name, str(version.number)
    registered = client.get_model_version(name, number)
    if _recorded(registered.tags) is not None:
        return
    with tempfile.TemporaryDirectory() as folder:
        md5s = _read_needed(client, registered, Path(folder))
    # Backwards: the first tag, which holds how many there are, says that the others are there.
    for tag, text in reversed(list(divided(NEEDS, " ".join([str(len(md5s)), *sorted(md5s)])))):
        client.set_model_version_tag(name, number, tag, text)


def _recorded(tags: Mapping[str, str]) -> set[str] | None:
    """The md5s in a version's tags; None where they are not there, or not as they were written."""
    count, *md5s = joined(tags, NEEDS).split(" ") if NEEDS in tags else [""]
    whole = count == str(len(set(md5s))) and all(MD5.fullmatch(md5) for md5 in md5s)
    return set(md5s) if whole else None


def _read_needed(client: Client, registered: ModelVersion, into: Path) -> set[str]:
    """The outputs in the version's dvc.lock, and the added batches in its profile.

    No lock names the latter one by one.
    """
    version = Version.of(registered)
    folder = into / version.name / str(version.number)
    path = versions.fetch(client, version, "recipe/dvc.lock", folder)
    batches = versions.added_batches(client, version, folder)
    return {*DvcLock.read(path.parent).outputs.values(), *batches.values()}


def delete_versions(lock: ModelLock, numbers: Iterable[int]) -> None:
    """Delete versions of the lock's model.

    MLflow deletes a version's aliases with it, so each version is checked again before. Raises
    PipelineError if one is referenced by now: that one and those after it stay.
    """
    client, name = lock.client, lock.name
    in_ledger = _in_ledger(client, name)  # while the lock is held no event is added
    for number in numbers:
        lock.confirm()
        tags = _tags(client, name, number)
        if tags is None:
            continue  # another process has deleted it
        if number in in_ledger | _with_alias(client, name) or KEEP in tags:
            raise _now_referenced(f"{name} version {number}")
        client.delete_model_version(name, str(number))


def delete_runs(client: Client, runs: Iterable[Run]) -> None:
    """Mark runs and the models that they logged as deleted; only `mlflow gc` removes the files.

    The caller holds the model's lock. Raises PipelineError if a run was resumed or has a version by
    now: it and those after it stay.
    """
    for run in runs:
        run_id = run.info.run_id
        resumed = _work(client.get_run(run_id)) != _work(run)
        if resumed or client.search_model_versions(f"run_id = '{run_id}'"):
            raise _now_referenced(f"run {run_id}")
        for model_id in _logged_models(client, run):
            client.delete_logged_model(model_id)
        client.delete_run(run_id)


def require_no_newer(client: Client, unreferenced: Unreferenced) -> None:
    """Raise PipelineError if a version of any model was registered after `find`.

    `needed` lacks its data. Of the model whose lock is held nobody else registers a version.
    """
    known = {(version.name, int(version.version)) for version in unreferenced.remaining}
    for version in store.pages(lambda page: client.search_model_versions(page_token=page)):
        if (version.name, int(version.version)) not in known:
            raise PipelineError(
                f"{version.name} version {version.version} was registered while this ran, and may "
                "need data in DVC's cache: nothing was removed there; run 'resnet prune' again"
            )


def _now_referenced(what: str) -> PipelineError:
    return PipelineError(
        f"{what} is referenced now, but was not when this started: it stays, and so does "
        "everything that was not removed before it; run 'resnet prune' again"
    )


def size(client: Client, run: Run) -> int:
    """Bytes of the run's artifacts, and of the models that it logged."""
    folders = [partial(client.list_artifacts, run.info.run_id)]
    folders += [
        partial(client.list_logged_model_artifacts, model_id)
        for model_id in _logged_models(client, run)
    ]
    return sum(_bytes(folder, None) for folder in folders)


def _logged_models(client: Client, run: Run) -> list[str]:
    """Ids of the models that the run logged, except those that are deleted already."""
    models = client.search_logged_models(
        [run.info.experiment_id], f"source_run_id = '{run.info.run_id}'"
    )
    return [str(model.model_id) for model in models]


def _in_ledger(client: Client, name: str) -> set[int]:
    """The numbers of the versions that an event names, an unfinished one included."""
    history = ledger.read_intact(client, name, whole=True)
    events = [*history.events, *history.unfinished]
    return {number for event in events for number in event.versions}


def _with_alias(client: Client, name: str) -> set[int]:
    """The numbers of the versions that an alias names."""
    model = store.existing(lambda: client.get_registered_model(name))
    return {int(number) for number in model.aliases.values()} if model else set()


def _tags(client: Client, name: str, number: int) -> Mapping[str, str] | None:
    """The tags of a version; None if it does not exist any more."""
    matches = client.search_model_versions(f"name = '{name}' and version_number = {number}")
    return matches[0].tags if matches else None


def _runs(client: Client, name: str) -> Iterator[Run]:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return iter(())
    ids = [experiment.experiment_id]
    return store.pages(lambda page: client.search_runs(ids, page_token=page))


def _has_ended(run: Run, before: datetime) -> bool:
    """Whether the run ended before that time, and no process works on it."""
    trainer = run.data.tags.get("trainer", "")
    if run.info.status in IN_PROGRESS and not processes.has_ended(trainer):
        return False
    return _time(run.info.end_time or run.info.start_time) < before


def _work(run: Run) -> tuple[str, str | None]:
    """Whether a process works on the run, and which."""
    return run.info.status, run.data.tags.get("trainer")


def _bytes(folder: Callable[[str | None], Iterable[FileInfo]], path: str | None) -> int:
    return sum(
        _bytes(folder, item.path) if item.is_dir else item.file_size or 0 for item in folder(path)
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
