"""Detect drift of scored samples from a version's reference data: registry in, report out.

The reference data are the classes and the confidence of its test predictions, and what the form
monitors of its training samples.
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
from resnet.monitoring.reports import SavedReport
from resnet.registry import links, store, versions
from resnet.registry.versions import Version


@dataclass(frozen=True)
class DriftReport:
    """Whether a version's last batches have drifted, and where the report is saved."""

    version: Version
    drift: Drift
    html: str
    saved: SavedReport
    address: str  # of the report in MLflow's pages

    def __str__(self) -> str:
        return f"{drift_page.text(self.version, self.drift)}\nreport: {self.address}"


def monitor(
    root: Path, name: str, selector: str | int, rules: params.Monitor, count: int | None = None
) -> DriftReport:
    """Compare the last batches that a version of `name` has scored with its reference data.

    `count` replaces the rules' number of batches. Safe to repeat: the same batches by the same
    rules make one report. Raises PipelineError if there is no such version, or its reference data
    are not available.
    """
    if count is not None:
        if not 1 <= count <= params.MAX_BATCHES:
            raise PipelineError(
                f"{count} batches cannot be compared: want 1 to {params.MAX_BATCHES}"
            )
        rules = rules.model_copy(update={"batches": count})
    client = store.client(root)
    version = versions.resolve(client, name, selector)
    with tempfile.TemporaryDirectory() as folder:
        known = reference.features(client, version, Path(folder))
    batches = scored_batches.last(client, version, rules.batches)
    detected = drift.detect(known, batches, rules)
    html = drift_page.html(version, detected, rules)
    saved = reports.save(
        client,
        name,
        _key(version, detected, rules),
        f"version {version.number}: {detected.state.lower()}",
        {"version": str(version.number), "verdict": detected.state},
        _metrics(detected),
        html,
    )
    return DriftReport(version, detected, html, saved, links.link(root, saved.path))


def mark_event_sent(root: Path, report: DriftReport, event: str) -> None:
    """Record that an event has reported the drift: see `SavedReport.event_sent`."""
    reports.mark_event_sent(store.client(root), report.saved, event)


def _key(version: Version, detected: Drift, rules: params.Monitor) -> str:
    """SHA-256, hex, of what was compared with what, by which rules."""
    parts = [
        version.number,
        version.evaluation_hash,
        [batch.id for batch in detected.batches],
        rules.model_dump(mode="json", exclude={"batches"}),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _metrics(detected: Drift) -> dict[str, float]:
    values: dict[str, float] = {"batches": len(detected.batches), "drifted": bool(detected.drifted)}
    if detected.together is None:
        return {**values, "images": 0}
    values["images"] = detected.together.images
    for k, distance in enumerate(detected.together.distances):
        values[f"distance/{distance.name}"] = distance.value
        values[f"p/{distance.name}"] = distance.p
        values[f"farthest/{distance.name}"] = max(one.distances[k].value for one in detected.each)
    return values
