"""Which version scored which batch of samples, with the features of samples and predictions.

A batch is an MLflow run in an experiment of its own, as an event of the ledger is, so that any
store carries it and MLflow's page shows it. Only its tags are read again. They are written by the
call that creates the run, so a batch is recorded completely or not at all. The metrics are for
people.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Self

from resnet.errors import PipelineError
from resnet.forms import names, statistics
from resnet.forms.histogram import Histogram
from resnet.monitoring.features import Features
from resnet.registry import store
from resnet.registry.ledger.event import milliseconds
from resnet.registry.ledger.lock import holding
from resnet.registry.store import Client, Run
from resnet.registry.versions import Version

SUFFIX = "-batches"
FORM = "image"  # of batches of earlier releases, which do not say it


@dataclass(frozen=True)
class ScoredBatch:
    """What is recorded of samples that a version has scored in one call; not the samples."""

    model: str
    version: int
    images_hash: str  # SHA-256, hex, of the samples' bytes
    features: Features
    time: str  # ISO 8601, UTC
    source: str  # where the samples came from
    out: str  # where the predictions were written
    who: str  # user@host
    flow_run: str | None = None  # Prefect's id
    model_hash: str | None = None  # of the version; None by an earlier release
    id: str = ""  # of the MLflow run

    @property
    def key(self) -> str:
        """SHA-256, hex, of the samples and the version; it identifies the batch."""
        return hashlib.sha256(f"{self.version} {self.images_hash}".encode()).hexdigest()

    def tags(self) -> dict[str, str]:
        """As tags of its MLflow run: text as it is, the rest as JSON."""
        features = self.features
        content = {
            **asdict(self),
            "form": features.form,
            "classes": dict(features.classes),
            **{name: histogram.as_dict() for name, histogram in features.histograms.items()},
            "key": self.key,
        }
        del content["features"], content["id"]
        return {
            name: value if isinstance(value, str) else json.dumps(value, allow_nan=False)
            for name, value in content.items()
            if value is not None
        }

    @classmethod
    def of(cls, run: Run) -> Self:
        """From its MLflow run. Raises PipelineError if the run's tags are not those of a batch."""
        tags = run.data.tags
        try:
            return cls(
                model=tags["model"],
                version=int(tags["version"]),
                images_hash=tags["images_hash"],
                features=_features(tags),
                time=tags["time"],
                source=tags["source"],
                out=tags["out"],
                who=tags["who"],
                flow_run=tags.get("flow_run"),
                model_hash=tags.get("model_hash"),
                id=run.info.run_id,
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise PipelineError(
                f"run {run.info.run_id} of {SUFFIX[1:]} holds no readable batch "
                f"({error!r}): its tags were edited; delete the run in MLflow to leave it out"
            ) from error


def _features(tags: Mapping[str, str]) -> Features:
    """Raises KeyError, ValueError or TypeError."""
    form = names.check(tags.get("form", FORM))
    stored = ("confidence", *statistics.of(form).FEATURES)
    confidence, *own = (Histogram.from_dict(json.loads(tags[name])) for name in stored)
    classes = {str(name): int(count) for name, count in json.loads(tags["classes"]).items()}
    return Features(form, classes, confidence, dict(zip(stored[1:], own, strict=True)))


def record(
    client: Client, batch: ScoredBatch, training: Mapping[str, Histogram]
) -> tuple[ScoredBatch, bool]:
    """Record a batch. Returns it as recorded, and whether it is new.

    Safe to repeat, on several hosts at once: the same images scored by the same version are one
    batch, the first one. `training` are the features of the version's training samples, if known.
    Raises PipelineError if other processes record for too long.
    """
    name = batch.model + SUFFIX
    with holding(client, name, batch.who):
        experiment = store.experiment(
            client,
            name,
            f"Batches of samples that versions of {batch.model} have scored, one per run.",
        )
        known = _runs(client, experiment, f"tags.key = '{batch.key}'", batch.model_hash)
        first = next(known, None)
        run = first or _create_run(client, experiment, batch)
    recorded = ScoredBatch.of(run)
    if run.info.status != store.FINISHED:
        store.log_metrics(client, run.info.run_id, _metrics(recorded.features, training))
        client.set_terminated(run.info.run_id, store.FINISHED)
    return recorded, first is None


def last(client: Client, version: Version, count: int) -> list[ScoredBatch]:
    """The last `count` batches that `version` has scored, the oldest first.

    Raises PipelineError if one cannot be read.
    """
    experiment = client.get_experiment_by_name(version.name + SUFFIX)
    if experiment is None:
        return []
    of_number = f"tags.version = '{version.number}'"
    runs = _runs(client, experiment.experiment_id, of_number, version.model_hash, count)
    return [ScoredBatch.of(run) for run in reversed(list(islice(runs, count)))]


def _runs(
    client: Client, experiment: str, query: str, model_hash: str | None, page_size: int = 10
) -> Iterator[Run]:
    """The batches that match, the newest first, without those that another model has scored.

    Its version may have had the same number: MLflow gives it again after a deletion.
    """
    for run in store.pages(
        lambda page: client.search_runs(
            [experiment],
            query,
            max_results=page_size,
            order_by=["attributes.start_time DESC"],
            page_token=page,
        )
    ):
        if not model_hash or run.data.tags.get("model_hash", model_hash) == model_hash:
            yield run


def _create_run(client: Client, experiment: str, batch: ScoredBatch) -> Run:
    """The caller holds the lock. By `start_time` it is the newest, whatever the clocks say."""
    order = ["attributes.start_time DESC"]
    newest = client.search_runs([experiment], max_results=1, order_by=order)
    start = milliseconds(datetime.fromisoformat(batch.time))
    source, features = Path(batch.source).name, batch.features
    counted = names.counted(features.form, features.images)
    return client.create_run(
        experiment,
        start_time=max([start, *(run.info.start_time + 1 for run in newest)]),
        tags={**batch.tags(), "mlflow.user": batch.who},
        run_name=f"version {batch.version}: {source}, {counted}",
    )


def _metrics(features: Features, training: Mapping[str, Histogram]) -> dict[str, float]:
    """For MLflow's page, which compares runs by their metrics."""
    means = {name: histogram.mean for name, histogram in features.histograms.items()}
    return {
        "images": features.images,
        **means,
        **{f"{name}_difference": means[name] - known.mean for name, known in training.items()},
        **{f"share/{name}": share for name, share in features.shares.items()},
    }
