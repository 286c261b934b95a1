"""Who put which version into production, when and why: a chain of events in the registry's store.

An event is an MLflow run in an experiment of its own, so that any store carries the history and
MLflow's page shows it. Its states are written as

    begun      a running run            nothing has been written but this
    checked    the tag `checked`        what it moves is known to work, and aliases may be written
    in chain   the experiment's `head`  it has happened
    finished   the run's status         for readers of MLflow's page
    abandoned  a failed run             it has not happened, or was undone

One write decides: that of `head`, which names the last event by index, hash and run. An event gets
its index and the hash of the event before it just before that, so the order does not depend on
clocks, and an edited tag or a deleted run shows, the last one too. Whoever writes here holds the
model's lock, and whoever takes the lock does what a killed process left undone: see `move.settle`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from resnet.errors import PipelineError
from resnet.registry import store
from resnet.registry.ledger.event import TAG_LENGTH, Event, stamp
from resnet.registry.store import Client

from mlflow.entities import Experiment, Run, RunTag

SUFFIX = "-ledger"
HEAD = "head"  # tag of the experiment: the last event, see `_place`
NOTE = "mlflow.note.content"  # a run's description in MLflow's page
CHECKED = "checked"  # tag of a run; like the run's status it says how far the event is, not what

UNDER_WAY = "RUNNING"  # a run's status


@dataclass(frozen=True)
class Ledger:
    """A registered model's ledger as it was at one moment."""

    events: list[Event]  # in the chain, in order
    unfinished: list[Event]  # begun: what is being done, or was when its process was killed
    head: str | None  # None where there never was an event

    @property
    def broken(self) -> str | None:
        """The first place at which the chain does not hold, in words; None where all of it does."""
        return _first_break(self.events) or _cut_off(self.events, self.head)


def begin(client: Client, event: Event) -> Event:
    """Write down what is about to happen; the event with its id and time."""
    # As it will be read again; what is no number is null there, for JSON has no NaN.
    evidence = json.loads(json.dumps(event.evidence), parse_constant=lambda _: None)
    event = replace(event, time=stamp(datetime.now(UTC)), evidence=evidence)
    run = client.create_run(
        store.experiment(client, event.model + SUFFIX),
        tags={**event.tags(), NOTE: _note(event), "mlflow.user": event.who},
        run_name=f"{event.action} {event.version}" if event.version else event.action,
    )
    return replace(event, id=str(run.info.run_id))


def check_off(client: Client, event: Event) -> None:
    """Write down that what `event` moves was found to work, and aliases where it expects them."""
    client.set_tag(event.id, CHECKED, "true")


def is_checked(client: Client, event: Event) -> bool:
    """Whether `check_off` was called: before it no alias is written."""
    return CHECKED in client.get_run(event.id).data.tags


def finish(client: Client, event: Event) -> Event:
    """What was begun has happened: the event becomes the last of the chain.

    Raises PipelineError where somebody has closed it already.
    """
    _must_be_open(client, event)
    before = events(client, event.model)
    placed = replace(event, index=len(before), previous=before[-1].hash if before else None)
    placed = replace(placed, hash=placed.digest())
    tags = placed.tags()
    place = [RunTag(name, tags[name]) for name in ("index", "previous", "hash") if name in tags]
    client.log_batch(event.id, tags=place)
    experiment = store.experiment(client, event.model + SUFFIX)
    client.set_experiment_tag(experiment, HEAD, _place(placed))
    client.set_terminated(event.id, store.FINISHED)
    return placed


def close_last(client: Client, found: Ledger) -> None:
    """Close the run of the last event, where its process was killed before it could."""
    last = found.events[-1:]
    if last and client.get_run(last[0].id).info.status != store.FINISHED:
        client.set_terminated(last[0].id, store.FINISHED)


def abandon(client: Client, event: Event, why: str) -> None:
    """What was begun has not happened, or was undone.

    Raises PipelineError where somebody has closed it already.
    """
    _must_be_open(client, event)
    client.set_tag(event.id, NOTE, _note(event, f"Not done: {why}\n\n"))
    client.set_terminated(event.id, "FAILED")


def read(client: Client, name: str) -> Ledger:
    """The ledger of the registered model `name`.

    Raises PipelineError where a run holds something else; `Ledger.broken` looks at the chain.
    """
    experiment = _experiment(client, name)
    if experiment is None:
        return Ledger([], [], None)
    while True:
        head, runs = experiment.tags.get(HEAD), _runs(client, experiment)
        experiment = client.get_experiment(experiment.experiment_id)
        if experiment.tags.get(HEAD) == head:  # else one was finished while they were read
            break
    last = (head or "").rpartition(" ")[2]
    done = [one for one in runs if one.info.status == store.FINISHED or one.info.run_id == last]
    under_way = [one for one in runs if one.info.status == UNDER_WAY and one.info.run_id != last]
    try:
        found = [Event.of(run) for run in done]
        unfinished = [Event.of(run) for run in under_way]
    except ValueError as error:
        raise _not_whole(name, str(error)) from error
    found.sort(key=lambda event: -1 if event.index is None else event.index)
    return Ledger(found, unfinished, head)


def unfinished(client: Client, name: str) -> list[Event]:
    """Events that were begun and neither finished nor abandoned. Raises as `read` does."""
    return read(client, name).unfinished


def events(client: Client, name: str) -> list[Event]:
    """Every event of the registered model `name`, in order. Raises as `read` does."""
    return read(client, name).events


def whole(client: Client, name: str) -> Ledger:
    """The ledger of `name`. Raises PipelineError where its chain is broken."""
    found = read(client, name)
    if found.broken:
        raise _not_whole(name, found.broken)
    return found


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


def _cut_off(history: Sequence[Event], head: str | None) -> str | None:
    """Whether `head` is the last event's place."""
    wanted = _place(history[-1]) if history else None
    if head == wanted:
        return None
    if head and head.rpartition(" ")[2] not in {event.id for event in history}:
        return f"event {head.partition(' ')[0]}, once the last, is missing: its run was deleted"
    return (
        f"the experiment's tag {HEAD} is {head!r} and not {wanted!r}: it was edited, or a run was "
        "finished by hand"
    )


def models(client: Client) -> list[str]:
    """Names of the registered models that have a ledger."""
    found = client.search_experiments(filter_string=f"name LIKE '%{SUFFIX}'")
    return sorted(experiment.name.removesuffix(SUFFIX) for experiment in found)


def _experiment(client: Client, name: str) -> Experiment | None:
    """The experiment, None where nothing was ever written. Raises PipelineError if deleted."""
    found = client.get_experiment_by_name(name + SUFFIX)
    if found and found.lifecycle_stage == "deleted":
        store.experiment(client, name + SUFFIX)  # it says what to do
    return found


def _not_whole(name: str, found: str) -> PipelineError:
    return PipelineError(
        f"the ledger {name}{SUFFIX} is not whole: {found}. Restore the run in MLflow, or the store "
        f"from a backup; to go on without this history, rename the experiment {name}{SUFFIX} in "
        "MLflow and then run 'resnet reconcile --accept --reason …'"
    )


def _must_be_open(client: Client, event: Event) -> None:
    if client.get_run(event.id).info.status != UNDER_WAY:
        raise PipelineError(
            f"the event '{event}' was closed by another process while this one was at work: "
            "look at 'resnet history'"
        )


def _note(event: Event, outcome: str = "") -> str:
    """An event for a reader, cut to what every store takes: the event's own tags have it all."""
    return f"{outcome}{event}"[:TAG_LENGTH]


def _place(event: Event) -> str:
    """Where in the chain an event is, and in which run."""
    return f"{event.index} {event.hash} {event.id}"


def _runs(client: Client, experiment: Experiment) -> list[Run]:
    """All runs of the ledger, the oldest first by the clocks; one search, so of one moment."""
    runs: list[Run] = []
    page = None
    while page is None or page.token:
        page = client.search_runs(
            [experiment.experiment_id],
            order_by=["attributes.start_time ASC"],
            page_token=page.token if page else None,
        )
        runs += page
    return runs
