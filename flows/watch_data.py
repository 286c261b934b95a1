"""Notice new data, and tell Prefect: the trigger in prefect.yaml then starts a training."""

from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed
from prefect.variables import Variable

from flows.tasks import enter_checkout, follow, remote, step
from resnet import params
from resnet.data import arrivals
from resnet.data.arrivals import Sources, Tracked
from resnet.errors import PipelineError, UnreachableError
from resnet.registry import versions

EVENT = "resnet.data.changed"


@flow(name="watch-data")
def watch_data() -> State[None]:
    """Put new batches of images under DVC, and emit an event where the data are new.

    They are where no version was trained on them yet and no event told of them: images in
    paths.extra that were added, changed or taken away, here or by git, and a data set that is
    published with other files. While a batch is being written nothing is told, for no training
    takes half of one. A training that fails is not started again; the next one by schedule or by
    hand takes them. The run fails, after all else, where DVC does not take a batch.
    """
    root = enter_checkout()
    chosen = params.load(root)
    trained = Sources.of(remote(versions.newest_profile, "look up")(root, chosen.model_name))
    found = step(track, "track")(root, chosen, trained)
    name, message = _tell(chosen, Sources.here(root, chosen), trained, found)
    if found.refused:
        raise PipelineError("\n".join([*found.refused, message]))
    return Completed(name=name, message="\n".join([message, *found.left_out]))


def track(root: Path, chosen: params.Params, trained: Sources) -> Tracked:
    """Put what is new and whole under DVC."""
    return arrivals.track(root, chosen, trained, follow("track"))


def _tell(
    chosen: params.Params, here: Sources, trained: Sources, found: Tracked
) -> tuple[str, str]:
    """Tell of what is new, where anything is; the name and the message of the run's last state."""
    change = here.since(trained)
    if found.growing:
        return "Waiting", f"until {', '.join(found.growing)} is whole"
    if change is None:
        return "Unchanged", "nothing is new to the newest version"
    # Prefect's variables have names of this form, and hold five kilobytes: room for the hash alone.
    variable = f"{chosen.model_name}-sources".replace("-", "_")
    if Variable.get(variable) == here.hash:
        return "Unchanged", f"{change}: an event told so before"
    resource = {
        "prefect.resource.id": f"resnet.data.{chosen.model_name}",
        "prefect.resource.name": chosen.model_name,
    }
    event = emit_event(EVENT, resource, payload={"change": change, "sources": here.as_dict()})
    if event is None:
        raise UnreachableError(f"{change}: no event could be emitted; the next run tries again")
    Variable.set(variable, here.hash, overwrite=True)
    return "Changed", change
