"""A version beside the one it is measured against, for a reader."""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from resnet.registry import store, versions
from resnet.registry.gate.rules import Measured, of_the_model
from resnet.registry.versions import PRODUCTION, Version


@dataclass(frozen=True)
class Summary:
    """What a version's metrics are, what another's are, and where MLflow shows its run."""

    version: Version
    metrics: Mapping[str, float | None]
    other: Version | None
    # Empty without another, and of one on other test images only those of the model.
    other_metrics: Mapping[str, float | None]
    run_path: str  # behind the address of MLflow's pages


def summarize(root: Path, version: Version, against: int | None = None) -> Summary:
    """Metrics of `version`, and of version `against`, or of production where that is another."""
    client = store.client(root)
    other = (
        versions.resolve(client, version.name, against)
        if against
        else versions.with_alias(client, version.name, PRODUCTION)
    )
    if other and other.number == version.number:
        other = None
    version = versions.resolve(client, version.name, version.number)  # with today's aliases
    metrics: list[Measured] = []
    with tempfile.TemporaryDirectory() as folder:
        for one in (version, other):
            found = one and versions.evaluation(client, one, Path(folder) / str(one.number))
            metrics.append(asdict(found.metrics) if found else {})
    if other and other.test_hash != version.test_hash:
        metrics[1] = of_the_model(metrics[1])
    experiment = client.get_run(version.run_id).info.experiment_id
    run_path = f"#/experiments/{experiment}/runs/{version.run_id}"
    return Summary(version, metrics[0], other, metrics[1], run_path)
