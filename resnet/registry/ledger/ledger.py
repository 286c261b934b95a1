"""Who put which version into production, when and why: a chain of events in the MLflow store.

An event is an MLflow run in an experiment of its own, so that any store can hold the history and
MLflow's UI shows it. Its states are written as

    begun      a running run            nothing else has been written
    checked    the tag `checked`        its versions passed their checks; aliases may be written
    in chain   the experiment's `head`  it has happened
    finished   the run's status         for readers of MLflow's UI
    abandoned  a failed run             it has not happened, or was undone

One write decides: that of `head`, which names the last event by index, hash and run. An event gets
its index and the hash of the previous event just before that, so the order does not depend on
clocks, and an edited tag or a deleted run is noticed, also the last one. Who writes here holds the
model's lock, and who takes the lock completes or undoes what a killed process has left: see
`alias_move.recover`.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from resnet.errors import PipelineError
from resnet.messages.redaction import redact
from resnet.registry import store
from resnet.registry.ledger import known_head, verified_events
from resnet.registry.ledger.chain import HEAD, Ledger
from resnet.registry.ledger.event import TAG_LENGTH, Event, from_iso, milliseconds, utc_iso
from resnet.registry.ledger.verified_events import WholeCheck
from resnet.registry.store import Client

from mlflow.entities import Experiment, Run, RunTag

SUFFIX = "-ledger"
CHECKED = "checked"  # tag of a run; like the run's status it is the event's state, not its content

OPEN = "RUNNING"  # the status of the run of an event that is neither finished nor abandoned
IN_PROGRESS = f"attributes.status = '{OPEN}'"


def begin(client: Client, event: Event) -> Event:
    """Write down what is about to happen. Returns the event with its id and time.

    Time does not run backwards in a ledger: the event's is that of the last one where the clock is
    behind that. When a request expires is as far from it as it was from the clock.
    """
    experiment = _experiment_id(client, event.model)
    now = datetime.now(UTC)
    time = max(now, _time_of_last(client, experiment) or now)
    expires = event.expires and utc_iso(from_iso(event.expires) + (time - now))
    # As it will be read again: JSON has no NaN, so it becomes null.
    evidence = json.loads(json.dumps(event.evidence), parse_constant=lambda _: None)
    event = replace(event, time=utc_iso(time), expires=expires, evidence=evidence)
    run = client.create_run(
        experiment,
        start_time=milliseconds(time),
        tags={**event.tags(), store.NOTE: _note(event), "mlflow.user": event.who},
        run_name=f"{event.action} {event.version}" if event.version else event.action,
    )
    return replace(event, id=str(run.info.run_id))


def _time_of_last(client: Client, experiment: str) -> datetime | None:
    """When the last event of the chain was begun; None if there is none, or it does not say."""
    head = client.get_experiment(experiment).tags.get(HEAD)
    run = store.existing(lambda: client.get_run(head.rpartition(" ")[2])) if head else None
    try:
        return from_iso(run.data.tags["time"]) if run else None
    except (KeyError, ValueError):  # an edited tag, which reading the ledger reports
        return None


def mark_checked(client: Client, event: Event) -> None:
    """Write down that the event's versions passed their checks, and its aliases are as expected."""
    client.set_tag(event.id, CHECKED, "true")


def is_checked(client: Client, event: Event) -> bool:
    """Whether `mark_checked` was called: before that no alias is written."""
    return CHECKED in client.get_run(event.id).data.tags


def finish(client: Client, event: Event) -> Event:
    """Write down that a begun event has happened: it becomes the last of the chain.

    Its place follows from `head`, so the chain is not read. Raises PipelineError if another process
    has closed the event.
    """
    _require_open(client, event)
    experiment = client.get_experiment(_experiment_id(client, event.model))
    head = experiment.tags.get(HEAD)
    index, previous, _ = head.split(" ") if head else ("-1", None, "")
    placed = replace(event, index=int(index) + 1, previous=previous)
    placed = replace(placed, hash=placed.digest())
    tags = placed.tags()
    place = [RunTag(name, tags[name]) for name in ("index", "previous", "hash") if name in tags]
    client.log_batch(event.id, tags=place)
    client.set_experiment_tag(experiment.experiment_id, HEAD, placed.head)
    known_head.write(client, event.model, placed.head)
    client.set_terminated(event.id, store.FINISHED)
    return placed


def close_last(client: Client, ledger: Ledger) -> None:
    """Close the run of the last event if its process was killed before it could."""
    last = ledger.events[-1:]
    if last and client.get_run(last[0].id).info.status != store.FINISHED:
        client.set_terminated(last[0].id, store.FINISHED)


def abandon(client: Client, event: Event, why: str) -> None:
    """Write down that a begun event has not happened, or was undone.

    Raises PipelineError if another process has closed the event.
    """
    _require_open(client, event)
    client.set_tag(event.id, store.NOTE, _note(event, f"Not done: {redact(why)}\n\n"))
    client.set_terminated(event.id, "FAILED")


def read(client: Client, name: str, *, whole: bool = False) -> Ledger:
    """The ledger of the registered model `name`.

    Of the events that this checkout has verified before only the last is read again; that the
    others are still as they were is for `whole` to find, which reads all, about 1 ms CPU per event,
    and remembers when it found them intact, or no more that they were. Raises PipelineError if a
    run is not an event; `Ledger.broken` checks the chain.
    """
    known = known_head.read(client, name)
    experiment = _experiment(client, name)
    if experiment is None:
        return Ledger([], [], None, known)
    verified = verified_events.load(client, name)
    if whole:
        WholeCheck.forget(client, name)
    ledger = _read_after(client, experiment, [] if whole else verified, known)
    if verified and ledger.broken and not whole:
        # Or an event was written by a clock that was behind: read them all.
        ledger = _read_after(client, experiment, [], known)
    if not ledger.broken:
        _keep(client, name, ledger, verified)
        if whole and ledger.head and not ledger.missing:
            WholeCheck(ledger.head, datetime.now(UTC)).write(client, name)
    return ledger


def is_unchanged(client: Client, name: str, ledger: Ledger) -> bool:
    """Whether no event was begun, finished or abandoned since `ledger` was read."""
    experiment = _experiment(client, name)
    if experiment is None:
        return ledger.head is None
    head = experiment.tags.get(HEAD)
    last = (head or "").rpartition(" ")[2]
    begun = {str(run.info.run_id) for run in _search(client, experiment, IN_PROGRESS)} - {last}
    return (head, begun) == (ledger.head, {event.id for event in ledger.unfinished})


def _keep(client: Client, name: str, ledger: Ledger, verified: Sequence[Event]) -> None:
    """Keep in the checkout what a ledger that is intact says, where it is not what is kept.

    `verified` are the events that are kept.
    """
    hashes, kept = [event.hash for event in ledger.events], [event.hash for event in verified]
    if hashes != kept:
        begins_so = hashes[: len(kept)] == kept
        verified_events.keep(client, name, ledger.events, len(kept) if begins_so else 0)
    if ledger.head and ledger.head != ledger.known and not ledger.missing:
        # An account that may only read need not be told each time.
        known_head.write(client, name, ledger.head, logging.DEBUG)


def _read_after(
    client: Client, experiment: Experiment, verified: Sequence[Event], known: str | None
) -> Ledger:
    """The ledger that begins with the events `verified`, of which the last is read again."""
    while True:
        head, runs = experiment.tags.get(HEAD), _runs(client, experiment, verified)
        experiment = client.get_experiment(experiment.experiment_id)
        if experiment.tags.get(HEAD) == head:  # else an event was finished meanwhile
            break
    last = (head or "").rpartition(" ")[2]
    in_chain = [run for run in runs if run.info.status == store.FINISHED or run.info.run_id == last]
    begun = [run for run in runs if run.info.status == OPEN and run.info.run_id != last]
    try:
        events = [Event.of(run) for run in in_chain]
        unfinished = [Event.of(run) for run in begun]
    except ValueError as error:
        raise _not_intact(experiment.name.removesuffix(SUFFIX), str(error)) from error
    before = verified[:-1]
    ids = {event.id for event in before}
    new = [event for event in events if event.id not in ids]
    new.sort(key=lambda event: -1 if event.index is None else event.index)
    return Ledger([*before, *new], unfinished, head, known, verified=len(before))


def events(client: Client, name: str) -> list[Event]:
    """Every event of the registered model `name`, in order. Raises as `read` does."""
    return read(client, name).events


def read_intact(
    client: Client, name: str, *, whole: bool = False, accept_missing: bool = False
) -> Ledger:
    """The ledger of `name`, as `read` reads it. Raises PipelineError if its chain is broken.

    And, unless `accept_missing`, if it has not the last event that this checkout knows of.
    """
    ledger = read(client, name, whole=whole)
    if ledger.broken:
        raise _not_intact(name, ledger.broken)
    if ledger.missing and not accept_missing:
        raise PipelineError(f"the ledger {name}{SUFFIX} lacks events: {ledger.missing}")
    return ledger


def models(client: Client) -> list[str]:
    """Names of the registered models that have a ledger, or had one when it was last seen."""
    experiments = client.search_experiments(filter_string=f"name LIKE '%{SUFFIX}'")
    names = {experiment.name.removesuffix(SUFFIX) for experiment in experiments}
    return sorted(names | known_head.models(client.tracking_uri, client.state))


def _experiment_id(client: Client, name: str) -> str:
    """The experiment's id; it is created if it is missing. Raises as `_experiment` does."""
    description = (
        f"The ledger of {name}: one run for each promotion, rollback, request and answer; "
        "'resnet history' prints it."
    )
    return store.experiment(client, name + SUFFIX, description)


def _experiment(client: Client, name: str) -> Experiment | None:
    """The experiment; None if nothing was ever written. Raises PipelineError if it is deleted."""
    experiment = client.get_experiment_by_name(name + SUFFIX)
    if experiment and experiment.lifecycle_stage == "deleted":
        _experiment_id(client, name)  # raises with the remedy
    return experiment


def _not_intact(name: str, why: str) -> PipelineError:
    return PipelineError(
        f"the ledger {name}{SUFFIX} is not intact: {why}. Restore the run in MLflow, or the store "
        f"from a backup; to continue without this history, rename the experiment {name}{SUFFIX} in "
        "MLflow and then run 'resnet reconcile --accept --reason …'"
    )


def _require_open(client: Client, event: Event) -> None:
    if client.get_run(event.id).info.status != OPEN:
        raise PipelineError(
            f"the event '{event}' was closed by another process in the meantime: see "
            "'resnet history'"
        )


def _note(event: Event, outcome: str = "") -> str:
    """An event for a reader, cut to what every store accepts: the event's own tags are complete."""
    return f"{outcome}{event}"[:TAG_LENGTH]


def _runs(client: Client, experiment: Experiment, verified: Sequence[Event]) -> list[Run]:
    """The runs from the last of the events `verified` on, oldest first; all if there are none.

    And those in progress, whenever they were begun.
    """
    if not verified:
        return _search(client, experiment, "")
    start = milliseconds(from_iso(verified[-1].time))
    runs = _search(client, experiment, f"attributes.start_time >= {start}")
    runs += _search(client, experiment, IN_PROGRESS)
    return list({run.info.run_id: run for run in runs}.values())


def _search(client: Client, experiment: Experiment, query: str) -> list[Run]:
    """The runs of the ledger that match, oldest first by the clocks."""
    ids, order = [experiment.experiment_id], ["attributes.start_time ASC"]
    return list(
        store.pages(lambda page: client.search_runs(ids, query, order_by=order, page_token=page))
    )
