"""Notice new data, and tell Prefect: the trigger in prefect.yaml then starts a training."""

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed
from prefect.variables import Variable

from flows.tasks import enter_checkout, follow, remote, step
from resnet import arrivals, params
from resnet.arrivals import Sources
from resnet.registry import summary

EVENT = "resnet.data.changed"


@flow(name="watch-data")
def watch_data() -> State[None]:
    """Put new batches of images under DVC, and emit an event where the data are new.

    They are where no version was trained on them yet and no event told of them: images in
    paths.extra that were added, changed or taken away, here or by git, and a data set that is
    published with other files. A training that fails is not started again; the next one by
    schedule or by hand takes them.
    """
    root = enter_checkout()
    chosen = params.load(root)
    step(track, "track")(root, chosen)
    here = Sources.here(root, chosen)
    trained = Sources.of(remote(summary.newest_profile, "look up")(root, chosen.model_name))
    change = here.since(trained)
    if change is None:
        return Completed(name="Unchanged", message="the newest version was trained on these data")
    told = f"{chosen.model_name}-sources".replace("-", "_")  # as a variable may be named
    if Variable.get(told) == here.as_dict():
        return Completed(name="Unchanged", message=f"{change}: an event told so before")
    _tell(chosen.model_name, change, here.as_dict())
    Variable.set(told, here.as_dict(), overwrite=True)
    return Completed(name="Changed", message=change)


def track(root: Path, chosen: params.Params) -> list[str]:
    """Put what is new and whole under DVC."""
    return arrivals.track(root, chosen, follow("track"))


def _tell(model: str, change: str, sources: dict[str, Any]) -> None:
    resource = {"prefect.resource.id": f"resnet.data.{model}", "prefect.resource.name": model}
    emit_event(EVENT, resource, payload={"change": change, "sources": sources})
