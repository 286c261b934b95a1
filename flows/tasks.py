"""Building blocks of the flows' tasks: stages, `resnet` commands, calls to the registry.

A process's output goes line by line into the run's log, its progress into a progress artifact.
Prefect caches nothing and carries only small values: DVC is the only cache.
"""

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from httpx import HTTPError
from prefect import Task, get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import flow_run

from flows import failures, runs
from resnet.checkout import command, dvc_yaml, project, stages
from resnet.checkout.stages import StageOutcome
from resnet.errors import UnreachableError
from resnet.messages import redaction
from resnet.messages.redaction import redact
from resnet.registry import store
from resnet.system import processes, progress
from resnet.system.processes import Say

P = ParamSpec("P")
R = TypeVar("R")


def plain_task(function: Callable[P, R], name: str) -> Task[P, R]:
    """`function` as a task that is neither cached nor retried."""
    return Task(_redacted(function), name=name, cache_policy=NO_CACHE)


def retried_task(function: Callable[P, R], name: str) -> Task[P, R]:
    """`function` as a task that is retried while a server does not answer: that can heal."""
    return Task(
        _redacted(function),
        name=name,
        cache_policy=NO_CACHE,
        retries=3,
        retry_delay_seconds=[5, 15, 45],
        retry_condition_fn=_unreachable,
    )


def _redacted(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, which raises no error with a login in its words: Prefect records them."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            error.args = tuple(redact(one) if isinstance(one, str) else one for one in error.args)
            raise

    return call


def _unreachable(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    return isinstance(state.result(raise_on_failure=False), UnreachableError)


def run_stages(tree: Path, lock_seconds: float, listen: Say) -> list[StageOutcome]:
    """Bring the outputs of every stage up to date, a task each. Raises DvcError.

    `listen` is given each line of theirs.
    """
    changed = plain_task(find_changed, "status")(tree, lock_seconds)
    outcomes: list[StageOutcome] = []
    for stage in dvc_yaml.stages(tree):
        if stage in changed or any(outcome.action != "skipped" for outcome in outcomes):
            outcomes.append(plain_task(run_stage, stage)(stage, tree, lock_seconds, listen))
        else:
            outcomes.append(plain_task(skip_stage, stage)(stage, tree))
    return outcomes


def find_changed(tree: Path, lock_seconds: float) -> set[str]:
    """The stages that DVC finds changed.

    An MLflow store is opened meanwhile, which takes a second. Whether it answers is not asked here:
    the task that needs it says so.
    """
    logger = get_run_logger()
    with ThreadPoolExecutor(1) as pool:
        if store.exists(tree):
            pool.submit(store.client, tree)
        return stages.changed(tree, lock_seconds, lambda line: logger.debug("%s", line))


def run_stage(stage: str, tree: Path, lock_seconds: float, listen: Say) -> StageOutcome:
    """Let DVC reproduce one stage in `tree`; `listen` is given each line, as the log is."""
    log_line = progress_logger(stage)

    def say(line: str) -> None:
        log_line(line)
        listen(line)

    outcome = stages.run(stage, tree, lock_seconds, say)
    get_run_logger().info("%s", outcome)
    return outcome


def skip_stage(stage: str, tree: Path) -> StageOutcome:
    """Log why a stage has nothing to do."""
    outcome = stages.skipped(stage, tree)
    get_run_logger().info("%s", outcome)
    return outcome


def run_command(words: list[str], tree: Path) -> list[str]:
    """`resnet WORDS` as a child process that sees no GPU; its lines go into the run's log.

    Raises PipelineError with the command's own error.
    """
    return command.run(words, tree, progress_logger(words[0]))


def progress_logger(name: str) -> Callable[[str], None]:
    """A function that logs each line it is given, and updates a progress artifact by it."""
    logger = get_run_logger()
    artifacts: dict[str, UUID] = {}

    def log_line(line: str) -> None:
        logger.info("%s", line)
        job_and_share = progress.fraction(line)
        if job_and_share is None:
            return
        try:
            _show_progress(name, *job_and_share, line, artifacts)
        except HTTPError as error:  # a server that went away must not end hours of training
            logger.warning("Prefect's server does not show the progress: %s", error)

    return log_line


def _show_progress(
    name: str, job: str, share: float, line: str, artifacts: dict[str, UUID]
) -> None:
    if job not in artifacts:
        created = create_progress_artifact(
            progress=0.0, key=f"{name}-progress", description=f"{name}: {job}"
        )
        assert isinstance(created, UUID)  # noqa: S101  (outside of coroutines it always is)
        artifacts[job] = created
    update_progress_artifact(artifacts[job], progress=100 * share, description=line)


def decided_by(author: str | None) -> str:
    """Who decides, for the ledger: the author as given, and the worker's account."""
    worker = processes.actor()
    return f"{author} (through {worker})" if author else worker


def rename(name: str) -> None:
    """Give this flow run a name that says what it is about, once that is known."""
    try:
        with get_client(sync_client=True) as client:
            client.set_flow_run_name(flow_run.id, name)
    except HTTPError as error:  # what it did is done, whatever it is called
        get_run_logger().warning("this run keeps its name: %s", error)


def enter_checkout() -> Path:
    """The root of the checkout around this process, which now works there, with its MLflow store.

    Until the process ends, others can see that the flow run has one, see `flows.runs`.
    From now on nothing is logged with a login in it. Prefect logs a PipelineError once, as its
    message alone, and takes what `resnet` logs into the log of the run that it belongs to.
    """
    for handler in logging.getLogger("prefect.extra").handlers:
        logging.getLogger("resnet").addHandler(handler)  # as PREFECT_LOGGING_EXTRA_LOGGERS does
    failures.tell_once()
    redaction.install()
    root = project.find_root()
    project.enter(root)
    if flow_run.id:  # None where the flow's function is called without Prefect
        runs.hold(root, flow_run.id)
    os.environ["MLFLOW_TRACKING_URI"] = store.tracking_uri(root)
    return root
