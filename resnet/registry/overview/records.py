"""The versions of a registered model with what they were made from, by searches: no artifact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Self

from resnet.registry import store, versions
from resnet.registry.ledger.event import utc_iso
from resnet.registry.store import Client
from resnet.registry.versions import PRODUCTION, Version
from resnet.system import mappings

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

PER_SEARCH = 100  # versions, and runs by their ids
ORIGINS = {"data_hash": "data", "git_commit": "code", "test_hash": "test samples"}
"""Tags of a version, and what another value of each means."""


@dataclass(frozen=True)
class VersionRecord:
    """A registered version, and what its run says of its making."""

    version: Version
    registered: str  # ISO 8601, UTC
    accuracy: float | None  # on its test samples; None if its run does not have that evaluation's
    parameters: Mapping[str, str]  # see `with_precision`; empty if its run has none
    tags: Mapping[str, str]  # of the version

    @classmethod
    def of(cls, registered: ModelVersion, aliases: Sequence[str], run: Run | None) -> Self:
        """From MLflow's records of the version, whose `aliases` a search does not return."""
        version = replace(Version.of(registered), aliases=tuple(sorted(aliases)))
        time = datetime.fromtimestamp(registered.creation_timestamp / 1000, UTC)
        accuracy = None
        if run and run.data.tags.get("logged.evaluation") == version.evaluation_hash:
            accuracy = run.data.metrics.get("accuracy")
        parameters = with_precision(run.data.params, run.data.tags) if run else {}
        return cls(version, utc_iso(time), accuracy, parameters, registered.tags)

    def differences(self, base: "VersionRecord") -> list[str]:
        """In what it differs from `base`, in words: parameters first, then data, code, samples."""
        words = mappings.changes(base.parameters, self.parameters, "–")
        changed = mappings.different(base.tags, self.tags)
        return words + [f"other {what}" for tag, what in ORIGINS.items() if tag in changed]


def with_precision(parameters: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, str]:
    """Flattened parameters of a run that has `tags`, with the precision that it took for `auto`."""
    precision = {"train.precision": tags["precision"]} if "precision" in tags else {}
    return {**parameters, **precision}


def read(client: Client, name: str, last: int | None = None) -> list[VersionRecord]:
    """The versions of the registered model `name`, in order; of many, the `last` and production.

    Raises PipelineError if there is no such model; it names those that there are.
    """
    model = versions.registered_model(client, name)
    aliases: dict[int, list[str]] = {}
    for alias, number in model.aliases.items():
        aliases.setdefault(int(number), []).append(alias)
    found = _last_versions(client, name, last)
    production = str(model.aliases.get(PRODUCTION, ""))
    if production and production not in {str(one.version) for one in found}:
        version = store.existing(lambda: client.get_model_version(name, production))
        found += [version] if version else []
    runs = _runs(client, name, [one.run_id for one in found if one.run_id])
    return [
        VersionRecord.of(one, aliases.get(int(one.version), ()), _run(client, runs, one))
        for one in sorted(found, key=lambda one: int(one.version))
    ]


def in_production(records: Sequence[VersionRecord]) -> VersionRecord | None:
    """The record of the version in production; None if none is."""
    return next((one for one in records if PRODUCTION in one.version.aliases), None)


def _last_versions(client: Client, name: str, last: int | None) -> list[ModelVersion]:
    """The `last` versions, newest first; all without a number."""
    query, order, most = f"name = '{name}'", ["version_number DESC"], last or PER_SEARCH
    found = store.pages(lambda page: client.search_model_versions(query, most, order, page))
    return list(islice(found, last))


def _runs(client: Client, name: str, ids: Sequence[str]) -> dict[str, Run]:
    """Those of the runs that are in the model's experiment, by their ids."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return {}
    runs: dict[str, Run] = {}
    for start in range(0, len(ids), PER_SEARCH):
        some = ", ".join(f"'{id}'" for id in ids[start : start + PER_SEARCH])
        query = f"attributes.run_id IN ({some})"
        found = client.search_runs([experiment.experiment_id], query, max_results=PER_SEARCH)
        runs |= {run.info.run_id: run for run in found}
    return runs


def _run(client: Client, runs: Mapping[str, Run], version: ModelVersion) -> Run | None:
    """The version's run; it may be of another experiment, deleted, or there may be none."""
    run_id = version.run_id or ""
    if not run_id or run_id in runs:
        return runs.get(run_id)
    return store.existing(lambda: client.get_run(run_id))
