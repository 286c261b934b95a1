"""The tasks that run a stage, or a `resnet` command, and show it in the flow run.

What the process prints goes line by line into the run's log; how far it is goes into a progress
artifact; its result is small. Nothing is cached by Prefect: DVC is the one cache.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from prefect import get_run_logger, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE

from resnet import processes, progress, project, stages
from resnet.errors import PipelineError


def run_stages(tree: Path, lock_seconds: float) -> list[stages.Outcome]:
    """Bring the outputs of every stage up to date, a task each. Raises StageError."""
    todo = task(stages.changed, name="status", cache_policy=NO_CACHE)(tree)
    outcomes: list[stages.Outcome] = []
    for stage in stages.STAGES:
        if stage in todo or any(before.action != "skipped" for before in outcomes):
            step = task(run_stage, name=stage, cache_policy=NO_CACHE)
            outcomes.append(step(stage, tree, lock_seconds))
        else:
            step = task(skip_stage, name=stage, cache_policy=NO_CACHE)
            outcomes.append(step(stage, tree))
    return outcomes


def run_stage(stage: str, tree: Path, lock_seconds: float) -> stages.Outcome:
    """Let DVC reproduce one stage in `tree`."""
    outcome = stages.run(stage, tree, lock_seconds, show(stage))
    get_run_logger().info("%s", outcome)
    return outcome


def skip_stage(stage: str, tree: Path) -> stages.Outcome:
    """Say why a stage has nothing to do."""
    outcome = stages.skipped(stage, tree)
    get_run_logger().info("%s", outcome)
    return outcome


def run_command(words: list[str], tree: Path) -> None:
    """`resnet WORDS` as a child process that sees no GPU. Raises PipelineError with its error."""
    env = {**os.environ, **project.environment(tree), "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-m", "resnet", *words]
    code, lines = processes.stream(command, tree, env, show(words[0]))
    if code:
        raise PipelineError(
            processes.error(lines) or f"resnet {words[0]} exited with {code}: see the lines above"
        )


def show(key: str) -> Callable[[str], None]:
    """A function that logs each line it is given and moves a progress artifact with it."""
    logger = get_run_logger()
    artifacts = {}

    def say(line: str) -> None:
        logger.info("%s", line)
        found = progress.fraction(line)
        if found:
            name, share = found
            if name not in artifacts:
                artifacts[name] = create_progress_artifact(
                    progress=0.0, key=f"{key}-progress", description=f"Progress of {name}"
                )
            update_progress_artifact(artifacts[name], progress=100 * share, description=line)

    return say
