"""Put a version into production if the gate lets it, or answer a request for approval."""

from typing import Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows import report
from flows.report import RunReport
from flows.tasks import decided_by, enter_checkout, retried_task
from resnet import params
from resnet.errors import PipelineError
from resnet.registry.gate import gate
from resnet.registry.promotion import approval, promotion

Action = Literal["promote", "approve", "reject"]


@flow(name="promote", flow_run_name="{action} {version}")
def promote(
    version: int | str,
    reason: str,
    action: Action = "promote",
    force: bool = False,
    author: str | None = None,
    model: str | None = None,
) -> State[None]:
    """Put a version into production, or answer the request to do so.

    The run fails if the gate refuses the version.

    Args:
        version: A number, or an alias such as candidate.
        reason: The reason, which the history records.
        action: `promote` asks the gate, whether or not a request is open. `approve` answers the
            open request for the version: it goes into production. `reject` answers it: production
            stays as it is.
        force: Promote against the gate, which the history records. Only with `promote`.
        author: Who decides. The history records the worker's account as well.
        model: The registered model; by default the one of params.yaml's data set.
    """
    root = enter_checkout()
    if force and action != "promote":
        raise PipelineError(f"force goes only with promote, and the action is {action}: omit it")
    parameters = params.load(root)
    name = model or parameters.model_name
    run_id, who = str(flow_run.id), decided_by(author)
    if action == "reject":
        event = retried_task(approval.reject, "reject")(
            root, name, version, reason=reason, who=who, flow_run=run_id
        )
        return Completed(message=str(event))
    if action == "approve":
        decision = retried_task(approval.approve, "approve")(
            root, name, version, parameters.gate, reason=reason, who=who, flow_run=run_id
        )
    else:
        verdict = retried_task(gate.judge, "decide")(root, name, version, parameters.gate)
        decision = retried_task(promotion.promote, "promote")(
            root, verdict, reason=reason, who=who, flow_run=run_id, force=force
        )
    message = str(decision)
    run_report = RunReport(decision.version, message, decision.verdict)
    retried_task(report.show, "report")(root, run_report)
    return Completed(message=message) if decision.promoted else Failed(message=message)
