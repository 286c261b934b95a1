"""The main flow: fetch → ingest → train → evaluate → export → publish → decide → promote."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.context import TagsContext
from prefect.runtime import flow_run
from prefect.states import Completed

from flows import report
from flows.publication import Publication, publication
from flows.report import RunReport
from flows.tasks import (
    enter_checkout,
    plain_task,
    progress_logger,
    retried_task,
    run_stages,
)
from resnet import params
from resnet.checkout import git
from resnet.checkout.stages import StageOutcome
from resnet.checkout.worktree import worktree
from resnet.data import arrivals
from resnet.data.arrivals import DataVersion
from resnet.errors import MovedError, PipelineError
from resnet.registry import store, versions
from resnet.registry.gate import gate
from resnet.registry.promotion import approval, outcome, promotion, status
from resnet.registry.promotion.alias_move import Check
from resnet.registry.promotion.outcome import Promote
from resnet.registry.promotion.promotion import Decision
from resnet.registry.promotion.status import Status
from resnet.registry.versions import Version
from resnet.system import files

MAX_ATTEMPTS = 3  # at a promotion, while others move production


def run_name() -> str:
    """`quick train.seed=2`, and what the run answers to: of two runs, what differs between them."""
    given = flow_run.parameters
    cause = given.get("cause")
    words = [given["preset"], *(given.get("overrides") or ())]
    return " ".join([*words, *([f"({cause})"] if cause else [])])


@flow(name="retrain", flow_run_name=run_name)
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
        cause: what this training answers to, such as the new data that an event reports. The
            version, the history and the run's artifact record it, or what is new about the data
            since the newest version if anything is: other data may have come in the meantime.
    """
    root = enter_checkout()
    base = params.read(root)
    values = params.merge(base, root, preset, overrides or [])
    parameters = params.check(values)
    # These raise here, not after a training: git does not look at the checkout, or it was moved.
    git.commit(root)
    store.require_own_artifacts(root, parameters.model_name)
    # The tags are the flow run's alone: for each tag of a task Prefect asks its server for a limit,
    # which a busy SQLite file refuses, and two seconds later again.
    with (
        TagsContext(current_tags=set()),
        _checkout(root, base, values) as tree,
        publication(tree) as publishing,
    ):
        if cause:
            get_run_logger().info("cause: %s", cause)
        if absent := arrivals.absent(tree, parameters):
            plain_task(pull, "pull")(tree, parameters, absent)
        stages = run_stages(tree, parameters.runtime.lock_seconds, publishing.listen)
        return _register(tree, parameters, promote, cause, stages, publishing)


@contextmanager
def _checkout(root: Path, base: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Path]:
    """The checkout itself for the parameters of params.yaml; for others a working tree of it."""
    if values == base:
        yield root
        return
    with worktree(root, str(flow_run.id), values) as tree:
        get_run_logger().info("the parameters differ from params.yaml: running in %s", tree)
        yield tree


def _register(
    tree: Path,
    parameters: params.Params,
    promote: Promote,
    cause: str | None,
    stages: list[StageOutcome],
    publishing: Publication,
) -> State[None]:
    """Publish and decide, as far as the registry says that it is missing. The run's last state."""
    before, after, cause = _publish_missing(tree, parameters, cause, publishing)
    for problem in after.problems:
        get_run_logger().warning("%s", problem)
    if after.version is None:
        raise PipelineError("publish made no version: is another store in MLFLOW_TRACKING_URI?")
    went_back = False
    if before.version and cause is not None:
        went_back = retried_task(data_went_back, "compare data")(tree, after.version)
    decision = None
    if check := outcome.check_before_decision(before, after, promote, went_back):
        reason = cause or str(flow_run.name)
        decide = partial(_decide, tree, parameters, after.version, promote, reason, check)
        decision = _retry_if_moved(decide)
    name, message = outcome.last_state(before, after, decision)
    request = outcome.open_request(after, decision)
    judged = decision or request
    run_report = RunReport(
        after.version,
        message,
        judged.verdict if judged else None,
        stages,
        request,
        cause,
        outcome.open_problems(after, decision),
    )
    retried_task(report.show, "report")(tree, run_report)
    return Completed(name=name, message=message)


def _publish_missing(
    tree: Path, parameters: params.Params, cause: str | None, publishing: Publication
) -> tuple[Status, Status, str | None]:
    """The registry's status before and after what it lacks was published, and the cause."""
    look_up = retried_task(status.status, "look up")
    before = look_up(parameters, tree)
    if not before.version:
        cause = retried_task(data_change, "compare data")(tree, parameters) or cause
    if before.is_published:
        return before, before, cause
    retried_task(publishing.run, "publish")(cause)
    return before, look_up(parameters, tree), cause


def _retry_if_moved(decide: Callable[[], Decision]) -> Decision:
    """What `decide` returns; it is called again if production moved in between."""
    for _ in range(MAX_ATTEMPTS - 1):
        try:
            return decide()
        except MovedError as error:
            get_run_logger().warning("%s", error)
    return decide()


def _decide(
    tree: Path,
    parameters: params.Params,
    version: Version,
    promote: Promote,
    reason: str,
    check: Check,
) -> Decision:
    """Ask the gate and act on its verdict. Raises MovedError if others move production."""
    rules, run_id = parameters.gate, str(flow_run.id)
    verdict = retried_task(gate.judge, "decide")(tree, version.name, version.number, rules)
    if promote == "ask":
        until = datetime.now(UTC) + timedelta(hours=parameters.runtime.approval_hours)
        return retried_task(approval.ask, "ask")(
            tree, verdict, until=until, reason=reason, flow_run=run_id, check=check
        )
    return retried_task(promotion.promote, "promote")(
        tree, verdict, reason=reason, flow_run=run_id, check=check
    )


def pull(tree: Path, parameters: params.Params, absent: list[Path]) -> None:
    """Pull the added samples that .dvc files name and that are not here."""
    arrivals.pull(tree, parameters, absent, progress_logger("pull"))


def data_change(tree: Path, parameters: params.Params) -> str | None:
    """What is new about the data in `tree` since the newest version, in words."""
    made_from = DataVersion.of(files.read_json(tree / parameters.paths.profile))
    return made_from.change_since(
        DataVersion.of(versions.newest_profile(tree, parameters.model_name))
    )


def data_went_back(tree: Path, version: Version) -> bool:
    """Whether the data went back to an earlier state, whose version was decided before."""
    newest = versions.latest(store.client(tree), version.name)
    later = newest is not None and newest.number > version.number
    return later and versions.PRODUCTION not in version.aliases
