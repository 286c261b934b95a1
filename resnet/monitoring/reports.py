"""Save the reports of `monitor`: one MLflow run per report, in an experiment of its own."""

from collections.abc import Mapping
from dataclasses import dataclass

from resnet.registry import store
from resnet.registry.store import Client

SUFFIX = "-monitoring"
REPORT_FILE = "report.html"  # artifact of the run
EVENT_TAG = "announced"  # its value is the id of the event that reported the drift


@dataclass(frozen=True)
class SavedReport:
    """A report in the registry."""

    id: str  # of the MLflow run
    path: str  # of its page, for a link
    event_sent: bool  # whether an event has reported the drift


def save(
    client: Client,
    model: str,
    key: str,
    name: str,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
    html: str,
) -> SavedReport:
    """Save a report about the registered model `model`, in an MLflow run called `name`.

    Safe to repeat, and to kill: `key` identifies what was compared, and there is one report of it.
    """
    experiment = store.experiment(
        client, model + SUFFIX, f"Reports on drift of {model}, one per 'resnet monitor'."
    )
    runs = client.search_runs([experiment], f"tags.key = '{key}'", max_results=1)
    run = (
        runs[0] if runs else client.create_run(experiment, tags={**tags, "key": key}, run_name=name)
    )
    run_id = str(run.info.run_id)
    if run.info.status != store.FINISHED:
        store.log_metrics(client, run_id, metrics)
        client.log_text(run_id, html, REPORT_FILE)
        client.set_terminated(run_id, store.FINISHED)
    path = f"experiments/{experiment}/runs/{run_id}/artifacts/{REPORT_FILE}"
    return SavedReport(run_id, path, EVENT_TAG in run.data.tags)


def mark_event_sent(client: Client, report: SavedReport, event: str) -> None:
    """Record the id of the event that reported the drift."""
    store.set_tag(client, report.id, EVENT_TAG, event)
