"""Put an earlier version back into production."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.tasks import enter_checkout, remote, signed
from resnet import params
from resnet.registry.promotion import promotion


@flow(name="rollback")
def rollback(
    reason: str,
    to: int | str | None = None,
    author: str | None = None,
    model: str | None = None,
) -> State[None]:
    """Put the version that was in production before, or a named one, back.

    Args:
        reason: Why, for those who come later.
        to: A version's number, or an alias; the one before where nothing is given.
        author: Who decides. The history names the worker's account as well, which it knows itself.
        model: The registered model; params.yaml's where nothing is given.
    """
    root = enter_checkout()
    event = remote(promotion.rollback, "rollback")(
        root,
        model or params.load(root).model_name,
        reason=reason,
        to=to,
        who=signed(author),
        flow_run=str(flow_run.id),
    )
    return Completed(message=str(event))
