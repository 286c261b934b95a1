"""The main flow: fetch → ingest → train → evaluate → publish → decide → promote."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows import report
from flows.tasks import enter_checkout, follow, remote, run_command, run_stages, step
from resnet import params
from resnet.checkout.stages import Outcome
from resnet.checkout.worktree import worktree
from resnet.data import arrivals
from resnet.data.arrivals import Sources
from resnet.errors import MovedError, PipelineError
from resnet.registry import store, versions
from resnet.registry.gate import gate
from resnet.registry.promotion import approval, promotion, status
from resnet.registry.promotion.alias_move import Check
from resnet.registry.promotion.promotion import Decision
from resnet.registry.promotion.smoke_test import must_be_whole, must_work
from resnet.registry.versions import Version
from resnet.system import files

Promote = Literal["if-better", "ask", "never"]
ATTEMPTS = 3  # at a promotion, while others move production


@flow(name="retrain", flow_run_name="retrain-{preset}")
def retrain(
    preset: str = "quick",
    overrides: list[str] | None = None,
    promote: Promote = "if-better",
    cause: str | None = None,
) -> State[None]:
    """Train a network, register it, and put it into production if the gate lets it.

    Only what is missing is done: DVC decides whether a stage runs, and the registry knows whether
    there is a version with this model, its evaluation, and a decision by these gate rules.

    Args:
        preset: a file in presets/ without its suffix; `quick` is params.yaml itself.
        overrides: `section.key=value`, each laid over the preset.
        promote: `if-better` asks the gate; `ask` asks the gate and then a person, and ends without
            waiting for the answer; `never` stops after registration.
        cause: what this training answers to, such as the new data that an event tells of. What is
            new about the data that it is then made from goes before it in what the version, the
            history and the run's artifact say: other data may have come, or a run before it.
    """
    root = enter_checkout()
    base = params.read(root)
    values = params.merge(base, root, preset, overrides or [])
    chosen = params.check(values)
    with _place(root, base, values) as tree:
        if cause:
            get_run_logger().info("cause: %s", cause)
        if absent := arrivals.absent(tree, chosen):
            step(pull, "pull")(tree, chosen, absent)
        outcomes = run_stages(tree, chosen.runtime.lock_seconds)
        return _register(tree, chosen, promote, cause, outcomes)


@contextmanager
def _place(root: Path, base: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Path]:
    """The checkout for the parameters of params.yaml; for others a working tree of their own."""
    if values == base:
        yield root
        return
    with worktree(root, str(flow_run.id), params.anchored(values, root)) as tree:
        get_run_logger().info("other parameters than params.yaml's: running in %s", tree)
        yield tree


def _register(
    tree: Path,
    chosen: params.Params,
    promote: Promote,
    cause: str | None,
    outcomes: list[Outcome],
) -> State[None]:
    """Do what the registry says is missing. Returns the flow run's last state."""
    look = remote(status.status, "look up")
    before = found = look(chosen, tree)
    if not before.version:
        cause = remote(data_change, "compare data")(tree, chosen) or cause
    if not (before.version and before.evaluated and before.carded):
        remote(run_publish, "publish")(tree, cause)
        found = look(chosen, tree)
    for problem in found.problems:
        get_run_logger().warning("%s", problem)
    version, decision = found.version, None
    if version is None:
        raise PipelineError("publish made no version: is another store in MLFLOW_TRACKING_URI?")
    known = before.version is not None
    returned = known and cause is not None and remote(is_former, "compare data")(tree, version)
    if promote != "never" and (returned or not found.decided):
        # What was published a moment ago was loaded and asked there.
        check = must_work if known else must_be_whole
        reason = cause or str(flow_run.name)
        decision = _until_settled(partial(_decide, tree, chosen, version, promote, reason, check))
    request = decision.request if decision else found.request
    waiting = request if request and request.waits else None
    if decision:
        name, message = "Awaiting approval" if waiting else "Completed", str(decision)
    elif found == before:
        name, message = "Up to date", str(request or f"{version} is registered: nothing to do")
    else:
        name, message = "Completed", f"{version} is registered"
    if waiting:
        message += f"\n{report.answers(waiting)}"
    problems = () if decision else found.problems  # who decides settles them, or is refused
    message += "".join(f"\nwarning: {problem}" for problem in problems)
    state: State[None] = Completed(name=name, message=message)
    judged = decision or waiting
    remote(report.show, "report")(
        tree,
        version,
        judged.verdict if judged else None,
        outcomes,
        message,
        waiting,
        cause,
        problems,
    )
    return state


def _until_settled(decide: Callable[[], Decision]) -> Decision:
    """What `decide` gives; it is asked again where production moved in between."""
    for _ in range(ATTEMPTS - 1):
        try:
            return decide()
        except MovedError as error:
            get_run_logger().warning("%s", error)
    return decide()


def _decide(
    tree: Path,
    chosen: params.Params,
    version: Version,
    promote: Promote,
    reason: str,
    check: Check,
) -> Decision:
    """Ask the gate and do as it says. Raises MovedError where others move production."""
    verdict = remote(gate.judge, "decide")(tree, version.name, version.number, chosen.gate)
    run_id = str(flow_run.id)
    if promote == "ask":
        until = datetime.now(UTC) + timedelta(hours=chosen.runtime.approval_hours)
        return remote(approval.ask, "ask")(
            tree, verdict, until=until, reason=reason, flow_run=run_id, check=check
        )
    return remote(promotion.promote, "promote")(
        tree, verdict, reason=reason, flow_run=run_id, check=check
    )


def pull(tree: Path, chosen: params.Params, absent: list[Path]) -> None:
    """Bring the added images that .dvc files name and that are not here."""
    arrivals.pull(tree, chosen, absent, follow("pull"))


def data_change(tree: Path, chosen: params.Params) -> str | None:
    """What is new about the data in `tree` since the newest version, in words."""
    made_from = Sources.of(files.read_json(tree / chosen.paths.profile))
    return made_from.since(Sources.of(versions.newest_profile(tree, chosen.model_name)))


def is_former(tree: Path, version: Version) -> bool:
    """Whether data that were taken away led back to it, which was decided about before."""
    newest = versions.latest(store.client(tree), version.name)
    later = newest is not None and newest.number > version.number
    return later and versions.PRODUCTION not in version.aliases


def run_publish(tree: Path, cause: str | None) -> None:
    """Register in a process of its own. Raises UnreachableError where the store is the reason."""
    try:
        run_command(["publish", *(["--cause", cause] if cause else [])], tree)
    except PipelineError:
        store.client(tree)
        raise
