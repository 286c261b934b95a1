"""Compare what a version has scored with its reference data, and emit an event if it drifted."""

from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.tasks import enter_checkout, rename, retried_task
from resnet import params
from resnet.monitoring import drift_page
from resnet.monitoring import monitor as monitoring
from resnet.monitoring.monitor import DriftReport
from resnet.registry import links

EVENT = "resnet.drift"


@flow(name="monitor", flow_run_name="monitor {version}")
def monitor(
    batches: params.BatchCount | None = None,
    version: int | str = "production",
    model: str | None = None,
) -> State[None]:
    """Compare the last batches that a version has scored with its reference data.

    The run ends as Drift, No drift or Not enough samples. An event `resnet.drift` reports drift,
    once for the same batches.

    Args:
        batches: how many; by default as many as params.yaml says.
        version: a number or an alias.
        model: the registered model; by default the one of params.yaml's data set.
    """
    root = enter_checkout()
    parameters = params.load(root)
    report = retried_task(monitoring.monitor, "compare")(
        root, model or parameters.model_name, version, parameters.monitor, batches
    )
    rename(f"monitor {report.version.number}")
    if report.drift.drifted and not report.saved.event_sent:
        retried_task(announce, "announce")(root, report)
    show(root, report)
    return Completed(
        name=report.drift.state, message=drift_page.headline(report.version, report.drift)
    )


def announce(root: Path, report: DriftReport) -> None:
    """Emit the event, then record that it was: if a kill comes in between, it is emitted again."""
    version = report.version
    event = emit_event(
        EVENT,
        resource={
            "prefect.resource.id": f"resnet.model.{version.name}",
            "prefect.resource.name": version.name,
            "resnet.version": str(version.number),
        },
        payload={
            "model": version.name,
            "version": version.number,
            "features": report.drift.drifted,
            "batches": len(report.drift.batches),
            "images": report.drift.together.images if report.drift.together else 0,
            "report": report.address,
            "flow_run": str(flow_run.id),
        },
    )
    if event:
        monitoring.mark_event_sent(root, report, str(event.id))


def show(root: Path, report: DriftReport) -> None:
    """Make the artifact `drift` of this flow run."""
    link = f"[The report, with pictures]({report.address})"
    create_markdown_artifact(
        key="drift",
        description=f"{report.version}: {report.drift.state.lower()}",
        markdown="\n\n".join(
            [
                f"# {report.version.name} version {report.version.number}",
                drift_page.summary(report.version, report.drift),
                links.annotated(link, links.how_to_open(root)),
            ]
        ),
    )
