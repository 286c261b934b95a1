"""Put a version into production if the gate lets it, or answer a request for approval."""

from typing import Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows import report
from flows.tasks import enter_checkout, remote, signed
from resnet import params
from resnet.errors import PipelineError
from resnet.registry.gate import gate
from resnet.registry.promotion import approval, promotion

Action = Literal["promote", "approve", "reject"]


@flow(name="promote", flow_run_name="{action}-{version}")
def promote(
    version: int | str,
    reason: str,
    action: Action = "promote",
    force: bool = False,
    author: str | None = None,
    model: str | None = None,
) -> State[None]:
    """Put a version into production, or answer the request to do so.

    The run fails where the gate refuses.

    Args:
        version: A number, or an alias such as candidate.
        reason: Why, for those who come later.
        action: `promote` asks the gate, whether or not a request waits. `approve` answers the open
            request about the version: it goes into production. `reject` answers it: nothing moves.
        force: Promote against the gate; the history says so. With `promote` alone.
        author: Who decides. The history names the worker's account as well, which it knows itself.
        model: The registered model; params.yaml's where nothing is given.
    """
    root = enter_checkout()
    if force and action != "promote":
        raise PipelineError(f"force goes with promote, and the action is {action}: leave it out")
    chosen = params.load(root)
    name = model or chosen.model_name
    run_id, who = str(flow_run.id), signed(author)
    if action == "reject":
        event = remote(approval.reject, "reject")(
            root, name, version, reason=reason, who=who, flow_run=run_id
        )
        return Completed(message=str(event))
    if action == "approve":
        decision = remote(approval.approve, "approve")(
            root, name, version, chosen.gate, reason=reason, who=who, flow_run=run_id
        )
    else:
        verdict = remote(gate.judge, "decide")(root, name, version, chosen.gate)
        decision = remote(promotion.promote, "promote")(
            root, verdict, reason=reason, who=who, flow_run=run_id, force=force
        )
    end = Completed if decision.promoted else Failed
    state: State[None] = end(message=str(decision))
    remote(report.show, "report")(root, decision.version, decision.verdict, [], str(state.message))
    return state
