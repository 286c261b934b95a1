"""Look whether what a version scores is still what it knows: the registry in, a report there out.

A version knows the classes and the confidence of its answers from its test images, brightness and
contrast from the images that it was trained on.
"""

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from resnet import params
from resnet.errors import PipelineError
from resnet.monitoring import drift, drift_page, reference, reports, scored_batches
from resnet.monitoring.drift import Drift
from resnet.monitoring.reports import Kept
from resnet.registry import store, versions
from resnet.registry.versions import Version


@dataclass(frozen=True)
class Report:
    """What was found about a version's last batches, and where it is kept."""

    version: Version
    drift: Drift
    html: str
    kept: Kept
    address: str  # of the report in MLflow's pages

    def __str__(self) -> str:
        return f"{drift_page.text(self.version, self.drift)}\nreport: {self.address}"


def monitor(
    root: Path, name: str, selector: str | int, rules: params.Monitor, count: int | None = None
) -> Report:
    """Compare the last batches that a version of `name` has scored with what it knows.

    `count` goes before the rules' number of batches. Safe to repeat: the same batches by the same
    rules make one report. Raises PipelineError where there is no such version, or what it knows
    cannot be had.
    """
    if count is not None:
        if not 1 <= count <= params.MOST_BATCHES:
            raise PipelineError(
                f"{count} batches cannot be compared: want 1 to {params.MOST_BATCHES}"
            )
        rules = rules.model_copy(update={"batches": count})
    client = store.client(root)
    version = versions.resolve(client, name, selector)
    with tempfile.TemporaryDirectory() as folder:
        known = reference.reference(client, version, Path(folder))
    found = drift.look(known, scored_batches.last(client, version, rules.batches), rules)
    html = drift_page.html(version, found, rules)
    kept = reports.keep(
        client,
        name,
        _key(version, found, rules),
        f"version {version.number}: {found.verdict.lower()}",
        {"version": str(version.number), "verdict": found.verdict},
        _metrics(found),
        html,
    )
    return Report(version, found, html, kept, f"{store.pages(root)}/{kept.path}")


def announce(root: Path, report: Report, event: str) -> None:
    """Write down that an event has told of the report: see `Kept.announced`."""
    reports.announce(store.client(root), report.kept, event)


def _key(version: Version, found: Drift, rules: params.Monitor) -> str:
    """SHA-256, hex, of what was compared with what, by which rules."""
    parts = [
        version.number,
        version.evaluation_hash,
        [batch.id for batch in found.batches],
        rules.model_dump(mode="json", exclude={"batches"}),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _metrics(found: Drift) -> dict[str, float]:
    values: dict[str, float] = {"batches": len(found.batches), "drifted": bool(found.drifted)}
    if found.together is None:
        return {**values, "images": 0}
    values["images"] = found.together.images
    for k, one in enumerate(found.together.distances):
        values[f"distance/{one.name}"] = one.value
        values[f"p/{one.name}"] = one.p
        values[f"farthest/{one.name}"] = max(batch.distances[k].value for batch in found.each)
    return values
