"""Put a version into production, if the gate lets it."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows import report
from flows.tasks import enter_checkout, remote
from resnet import params
from resnet.registry import gate, promotion


@flow(name="promote", flow_run_name="promote-{version}")
def promote(
    version: int | str, reason: str, force: bool = False, model: str | None = None
) -> State[None]:
    """Ask the gate about a version and, if it passes, put it into production.

    The run fails where the gate refuses.

    Args:
        version: a number, or an alias such as candidate.
        reason: why, for those who come later.
        force: promote against the gate; the history says so.
        model: the registered model; params.yaml's where nothing is given.
    """
    root = enter_checkout()
    chosen = params.load(root)
    name = model or chosen.model_name
    verdict = remote(gate.judge, "decide")(root, name, version, chosen.gate)
    decision = remote(promotion.promote, "promote")(
        root, verdict, reason=reason, force=force, flow_run=str(flow_run.id)
    )
    end = Completed if decision.promoted else Failed
    state: State[None] = end(message=str(decision))
    remote(report.show, "report")(root, decision.version, decision, [], str(state.message))
    return state
