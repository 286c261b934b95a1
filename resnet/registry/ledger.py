"""Who put which version into production, when and why: a chain of events in the registry's store.

An event is an MLflow run in an experiment of its own, so that any store carries the history and
MLflow's page shows it. Its run is opened before an alias moves and finished after it; only finished
ones count. As it is finished, an event gets its index and the hash of the event before it: the
order does not depend on clocks, and an edited tag or a deleted run shows. Whoever finishes an event
holds the model's lock.
"""

import getpass
import json
import socket
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mlflow.entities import RunTag

from resnet.errors import PipelineError
from resnet.registry import store
from resnet.registry.event import Event, stamp
from resnet.registry.versions import PRODUCTION

SUFFIX = "-ledger"
HEAD = "head"  # tag of the experiment: index and hash of the last event, so that none is cut off


def begin(client: Any, event: Event) -> Event:
    """Write down what is about to happen; the event with its id and time."""
    evidence = json.loads(json.dumps(event.evidence))  # as it will be read again
    event = replace(event, time=stamp(datetime.now(UTC)), evidence=evidence)
    run = client.create_run(
        store.experiment(client, event.model + SUFFIX),
        tags={**event.tags(), "mlflow.note.content": str(event), "mlflow.user": event.who},
        run_name=f"{event.action} {event.version}" if event.version else event.action,
    )
    return replace(event, id=str(run.info.run_id))


def finish(client: Any, event: Event) -> Event:
    """What was begun has happened: the event becomes the last of the chain.

    Raises PipelineError where somebody has closed it already.
    """
    if client.get_run(event.id).info.status != "RUNNING":
        raise PipelineError(
            f"the event '{event}' was closed by another process while this one was at work: "
            "look at 'resnet history'"
        )
    before = events(client, event.model)
    placed = replace(event, index=len(before), previous=before[-1].hash if before else None)
    placed = replace(placed, hash=placed.digest())
    tags = placed.tags()
    place = [RunTag(name, tags[name]) for name in ("index", "previous", "hash") if name in tags]
    client.log_batch(event.id, tags=place)
    client.set_terminated(event.id)
    experiment = store.experiment(client, event.model + SUFFIX)
    client.set_experiment_tag(experiment, HEAD, f"{placed.index} {placed.hash}")
    return placed


def abandon(client: Any, event: Event, why: str) -> None:
    """What was begun has not happened, or was undone."""
    client.set_tag(event.id, "mlflow.note.content", f"{event}\n\nNot done: {why}")
    client.set_terminated(event.id, "FAILED")


def unfinished(client: Any, name: str) -> list[Event]:
    """Events that were begun: what is being done now, or was when its process was killed."""
    return _read(client, name, "RUNNING")


def events(client: Any, name: str) -> list[Event]:
    """Every event of the registered model `name`, in order.

    Raises PipelineError where a run holds something else. `verify` looks at the chain.
    """
    found = _read(client, name, "FINISHED")
    return sorted(found, key=lambda event: -1 if event.index is None else event.index)


def broken(client: Any, name: str) -> str | None:
    """The first place at which the chain does not hold, in words; None where all of it does."""
    history = events(client, name)
    found = _first_break(history)
    if found or not (experiment := _experiment(client, name)):
        return found
    head = experiment.tags.get(HEAD)
    if head is None or head in {f"{event.index} {event.hash}" for event in history}:
        return None
    return f"event {head.partition(' ')[0]}, once the last, is missing: its run was deleted"


def _first_break(history: Sequence[Event]) -> str | None:
    previous = None
    for index, event in enumerate(history):
        if event.index is None:
            return f"run {event.id} was finished by hand: no event's index is in its tags"
        if event.index != index:
            return f"event {index} is missing: its run was deleted"
        if event.digest() != event.hash:
            return f"event {index} (run {event.id}) is not what was written: its tags were edited"
        if event.previous != previous:
            return f"event {index} (run {event.id}) follows another event than the one before it"
        previous = event.hash
    return None


def verify(client: Any, name: str) -> None:
    """Raise PipelineError where the chain is broken."""
    found = broken(client, name)
    if found:
        raise _not_whole(name, found)


def last_move(history: Sequence[Event]) -> Event | None:
    """The event that moved production last."""
    return next((event for event in reversed(history) if PRODUCTION in event.moves), None)


def in_production(history: Sequence[Event]) -> list[int]:
    """Versions as they came into production, those that were rolled back taken off again."""
    stack: list[int] = []
    for event in history:
        number = event.version_to
        if number is None or (stack and stack[-1] == number):
            continue
        if event.action == "rollback" and number in stack:
            while stack[-1] != number:
                stack.pop()
        else:
            stack.append(number)
    return stack


def models(client: Any) -> list[str]:
    """Names of the registered models that have a ledger."""
    found = client.search_experiments(filter_string=f"name LIKE '%{SUFFIX}'")
    return sorted(experiment.name.removesuffix(SUFFIX) for experiment in found)


def whoever() -> str:
    """user@host of this process."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _experiment(client: Any, name: str) -> Any:
    """The experiment, None where nothing was ever written. Raises PipelineError if deleted."""
    found = client.get_experiment_by_name(name + SUFFIX)
    if found:
        store.experiment(client, name + SUFFIX)
    return found


def _not_whole(name: str, found: str) -> PipelineError:
    return PipelineError(
        f"the ledger {name}{SUFFIX} is not whole: {found}. Restore the run in MLflow, or the store "
        f"from a backup; to go on without this history, rename the experiment {name}{SUFFIX} in "
        "MLflow and then run 'resnet reconcile --accept --reason …'"
    )


def _read(client: Any, name: str, status: str) -> list[Event]:
    try:
        return [Event.of(run) for run in _runs(client, name, status)]
    except ValueError as error:
        raise _not_whole(name, str(error)) from error


def _runs(client: Any, name: str, status: str) -> list[Any]:
    """The ledger's runs of that status, the oldest first by the clocks."""
    experiment = _experiment(client, name)
    if experiment is None:
        return []
    runs: list[Any] = []
    page = None
    while page is None or page.token:
        page = client.search_runs(
            [experiment.experiment_id],
            f"attributes.status = '{status}'",
            order_by=["attributes.start_time ASC"],
            page_token=page.token if page else None,
        )
        runs += page
    return runs
