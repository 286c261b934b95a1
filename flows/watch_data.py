"""Notice new data, and emit an event: the trigger in prefect.yaml then starts a training."""

from collections.abc import Sequence
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed
from prefect.variables import Variable

from flows.tasks import enter_checkout, plain_task, progress_logger, retried_task
from resnet import params
from resnet.data import arrivals
from resnet.data.arrivals import DataVersion, NewBatches
from resnet.errors import PipelineError, UnreachableError
from resnet.registry import versions

EVENT = "resnet.data.changed"


@flow(name="watch-data", flow_run_name="watch-data")
def watch_data() -> State[None]:
    """Put new batches of samples under DVC, and emit an event if the data are new.

    They are new if no version was trained on them and no event has reported them: samples in
    paths.extra that were added, changed or removed, here or by git, and a data set that is
    published with other files. While a batch is still being written nothing is reported, for no
    training takes half of one. A failed training is not started again; the next one by schedule or
    by hand takes the data. The run fails, after everything else, if no training could read a batch
    or DVC refuses it.
    """
    root = enter_checkout()
    parameters = params.load(root)
    profile = retried_task(versions.newest_profile, "look up")(root, parameters.model_name)
    trained = DataVersion.of(profile)
    batches = plain_task(track, "track")(root, parameters, trained)
    here = DataVersion.current(root, parameters)
    name, message = _report(parameters.model_name, here, trained, batches.incomplete)
    if batches.refused:
        raise PipelineError("\n".join([*batches.refused, message]))
    return Completed(name=name, message="\n".join([message, *batches.unwanted]))


def track(root: Path, parameters: params.Params, trained: DataVersion) -> NewBatches:
    """Put what is new and completely written under DVC."""
    return arrivals.track(root, parameters, trained, progress_logger("track"))


def _report(
    model: str, here: DataVersion, trained: DataVersion, incomplete: Sequence[str]
) -> tuple[str, str]:
    """Emit an event if anything is new. The name and the message of the run's last state.

    `incomplete` are the batches that are still being written.
    """
    change = here.change_since(trained)
    if incomplete:
        verb = "is" if len(incomplete) == 1 else "are"
        return "Waiting", f"{', '.join(incomplete)} {verb} still being written"
    if change is None:
        return "Unchanged", "nothing is new since the newest version"
    # Prefect's variables have names of this form, and hold five kilobytes: room for the hash alone.
    variable = f"{model}-sources".replace("-", "_")
    if Variable.get(variable) == here.hash:
        return "Unchanged", f"{change}: an event has already reported this"
    resource = {"prefect.resource.id": f"resnet.data.{model}", "prefect.resource.name": model}
    event = emit_event(EVENT, resource, payload={"change": change, "sources": here.as_dict()})
    if event is None:
        raise UnreachableError(f"{change}: no event could be emitted; the next run tries again")
    Variable.set(variable, here.hash, overwrite=True)
    return "Changed", change
