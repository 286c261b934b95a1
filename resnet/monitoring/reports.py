"""Keep what `monitor` found: an MLflow run a report, in an experiment of its own."""

from collections.abc import Mapping
from dataclasses import dataclass

from resnet.registry import store
from resnet.registry.store import Client

SUFFIX = "-monitoring"
REPORT_FILE = "report.html"  # artifact of the run
ANNOUNCED = "announced"  # tag: the event that told of it


@dataclass(frozen=True)
class Kept:
    """A report in the registry."""

    id: str  # of the MLflow run
    path: str  # behind the address of MLflow's pages
    announced: bool  # whether an event has told of it


def keep(
    client: Client,
    model: str,
    key: str,
    name: str,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
    html: str,
) -> Kept:
    """Keep a report about the registered model `model`; `name` is the run's.

    Safe to repeat, and to kill: what was compared is named by `key`, and one report has it.
    """
    experiment = store.experiment(client, model + SUFFIX)
    found = client.search_runs([experiment], f"tags.key = '{key}'", max_results=1)
    run = (
        found[0]
        if found
        else client.create_run(experiment, tags={**tags, "key": key}, run_name=name)
    )
    run_id = str(run.info.run_id)
    if run.info.status != store.FINISHED:
        store.log_metrics(client, run_id, metrics)
        client.log_text(run_id, html, REPORT_FILE)
        client.set_terminated(run_id, store.FINISHED)
    path = f"#/experiments/{experiment}/runs/{run_id}/artifacts/{REPORT_FILE}"
    return Kept(run_id, path, ANNOUNCED in run.data.tags)


def announce(client: Client, kept: Kept, event: str) -> None:
    """Write down the id of the event that told of a report."""
    client.set_tag(kept.id, ANNOUNCED, event)
