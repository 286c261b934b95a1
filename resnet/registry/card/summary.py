"""The metrics of a version beside those of another, for a reader."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from resnet.evaluation.metrics import METRICS, MetricValues, of_the_model
from resnet.pages import markdown
from resnet.registry import store, versions
from resnet.registry.store import Client
from resnet.registry.versions import PRODUCTION, Version


@dataclass(frozen=True)
class VersionSummary:
    """The metrics of a version and of another, and where MLflow shows the version's run."""

    version: Version
    metrics: MetricValues
    other: Version | None
    other_metrics: MetricValues  # empty without another; on other test samples those of the model
    run_path: str  # of its page in MLflow, for a link

    def table(self) -> str:
        """One row per metric that a version has, one column per version, as Markdown."""
        names = [f"version {version.number}" for version in (self.version, self.other) if version]
        sides = [values for values in (self.metrics, self.other_metrics) if values]
        rows = [
            [spec.label, *(spec.text(values[name]) for values in sides), spec.better or ""]
            for name, spec in METRICS.items()
            if any(values[name] is not None for values in sides)
        ]
        return markdown.table(["metric", *names, "better"], rows)


def summarize(root: Path, version: Version, against: int | None = None) -> VersionSummary:
    """`version` beside version `against`, or else beside production where that is another."""
    client = store.client(root)
    other = (
        versions.resolve(client, version.name, against)
        if against
        else versions.with_alias(client, version.name, PRODUCTION)
    )
    if other and other.number == version.number:
        other = None
    version = versions.resolve(client, version.name, version.number)  # with its current aliases
    other_metrics = _metrics(client, other) if other else {}
    if other and other.test_hash != version.test_hash:
        other_metrics = of_the_model(other_metrics)
    experiment = client.get_run(version.run_id).info.experiment_id
    run_path = f"experiments/{experiment}/runs/{version.run_id}"
    return VersionSummary(version, _metrics(client, version), other, other_metrics, run_path)


def _metrics(client: Client, version: Version) -> MetricValues:
    with tempfile.TemporaryDirectory() as folder:
        return versions.evaluation(client, version, Path(folder)).metrics.by_name()
