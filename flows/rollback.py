"""Put an earlier version back into production."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.tasks import enter_checkout, remote
from resnet import params
from resnet.registry import promotion


@flow(name="rollback")
def rollback(reason: str, to: int | str | None = None, model: str | None = None) -> State[None]:
    """Put the version that was in production before, or a named one, back.

    Args:
        reason: why, for those who come later.
        to: a version's number; the one before where nothing is given.
        model: the registered model; params.yaml's where nothing is given.
    """
    root = enter_checkout()
    event = remote(promotion.rollback, "rollback")(
        root,
        model or params.load(root).model_name,
        reason=reason,
        to=to,
        flow_run=str(flow_run.id),
    )
    return Completed(message=str(event))
