"""Put an earlier version back into production."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.tasks import decided_by, enter_checkout, rename, retried_task
from resnet import params
from resnet.registry.promotion import promotion


@flow(name="rollback", flow_run_name="rollback")
def rollback(
    reason: str,
    to: int | str | None = None,
    author: str | None = None,
    model: str | None = None,
) -> State[None]:
    """Put the previous production version, or a named one, back into production.

    Args:
        reason: The reason, which the history records.
        to: The rollback target, a version's number or an alias; by default the previous one.
        author: Who decides. The history records the worker's account as well.
        model: The registered model; by default the one of params.yaml's data set.
    """
    root = enter_checkout()
    event = retried_task(promotion.rollback, "rollback")(
        root,
        model or params.load(root).model_name,
        reason=reason,
        to=to,
        who=decided_by(author),
        flow_run=str(flow_run.id),
    )
    rename(f"rollback to {event.version_to}")
    return Completed(message=str(event))
