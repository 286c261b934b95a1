"""Compare what a version has scored with what it knows, and tell of it where it has drifted."""

from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.tasks import enter_checkout, retried_task
from resnet import params
from resnet.monitoring import drift_page
from resnet.monitoring import monitor as monitoring
from resnet.monitoring.monitor import Report

EVENT = "resnet.drift"


@flow(name="monitor")
def monitor(
    batches: params.BatchCount | None = None,
    version: int | str = "production",
    model: str | None = None,
) -> State[None]:
    """Compare the last batches that a version has scored with what it knows.

    The run ends as Drifted, Quiet or Too few images. Where something has drifted, an event
    `resnet.drift` tells of it, once for the same batches.

    Args:
        batches: how many; params.yaml's where nothing is given.
        version: a number or an alias.
        model: the registered model; params.yaml's where nothing is given.
    """
    root = enter_checkout()
    parameters = params.load(root)
    report = retried_task(monitoring.monitor, "compare")(
        root, model or parameters.model_name, version, parameters.monitor, batches
    )
    if report.drift.drifted and not report.kept.announced:
        retried_task(announce, "announce")(root, report)
    show(report)
    return Completed(
        name=report.drift.verdict, message=drift_page.headline(report.version, report.drift)
    )


def announce(root: Path, report: Report) -> None:
    """Emit the event, then write down that it was: a run that is killed in between tells again."""
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
        monitoring.announce(root, report, str(event.id))


def show(report: Report) -> None:
    """Make the artifact `drift` of this flow run."""
    create_markdown_artifact(
        key="drift",
        description=f"{report.version}: {report.drift.verdict.lower()}",
        markdown="\n\n".join(
            [
                f"# {report.version.name} version {report.version.number}",
                drift_page.summary(report.version, report.drift),
                f"[The report, with pictures]({report.address})",
            ]
        ),
    )
