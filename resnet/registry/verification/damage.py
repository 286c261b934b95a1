"""Which files of the registered versions are missing or damaged; nothing is rebuilt."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from resnet.errors import PipelineError, UnreachableError
from resnet.registry import portable_forms, store, versions
from resnet.registry.store import Client
from resnet.registry.versions import MissingArtifactError, Version

READERS: Sequence[Callable[[Client, Version, Path], Any]] = (
    versions.download,
    versions.evaluation,
    versions.predictions,
    versions.data_profile,
    lambda client, version, into: versions.fetch(client, version, versions.PROBE_FILE, into),
    portable_forms.download,
)


def every(client: Client, name: str) -> Iterator[Version]:
    """All versions of `name`, the newest first."""
    aliases: dict[int, set[str]] = {}  # a search of versions does not return them
    if model := store.existing(lambda: client.get_registered_model(name)):
        for alias, number in model.aliases.items():
            aliases.setdefault(int(number), set()).add(alias)
    newest_first = ["version_number DESC"]
    search = partial(client.search_model_versions, f"name = '{name}'", order_by=newest_first)
    for registered in store.pages(lambda page: search(page_token=page)):
        version = Version.of(registered)
        yield replace(version, aliases=tuple(sorted(aliases.get(version.number, ()))))


def damage(client: Client, version: Version) -> list[str]:
    """Which files of the version are not as they were published, in words.

    Where it has an alias, all that a move, the gate and a card read is downloaded; else it is only
    looked whether its model is there.
    """
    if not version.aliases:
        gone = [] if _has_model(client, version) else [versions.MODEL_FILE]
        return [_missing(client, version, gone)] if gone else []
    missing, problems = [], []
    with tempfile.TemporaryDirectory() as folder:
        for read in READERS:
            try:
                read(client, version, Path(folder))
            except MissingArtifactError as error:
                missing.append(error.artifact)
            except UnreachableError:
                raise
            except PipelineError as error:
                problems.append(str(error))
    unique = list(dict.fromkeys(missing))  # the predictions are read after their metrics
    return [*([_missing(client, version, unique)] if unique else []), *problems]


def _has_model(client: Client, version: Version) -> bool:
    run = _run(client, version)
    listed = client.list_artifacts(version.run_id) if run else []
    return versions.MODEL_FILE in {file.path for file in listed}


def _missing(client: Client, version: Version, artifacts: Sequence[str]) -> str:
    run = _run(client, version)
    folder = unquote(run.info.artifact_uri).removeprefix("file://") if run else "any run"
    return (
        f"{version}: {', '.join(artifacts)} cannot be read in {folder}: restore what is missing "
        "from a backup, or use another version ('resnet rollback'). While the stages' outputs "
        f"are this model's, 'resnet publish' adds {versions.MODEL_FILE} and {versions.PROBE_FILE}"
    )


def _run(client: Client, version: Version) -> store.Run | None:
    """The run that the version was made from; None if somebody registered it without one."""
    if not version.run_id:
        return None
    return store.existing(lambda: client.get_run(version.run_id))
