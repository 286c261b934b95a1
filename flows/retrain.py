"""The main flow: fetch → ingest → train → evaluate → publish → decide → promote."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from flows import errors
from resnet import params, project
from resnet.registry import store
from resnet.worktree import worktree


@flow(name="retrain", flow_run_name="retrain-{preset}", validate_parameters=True)
def retrain(
    preset: str = "quick",
    overrides: list[str] | None = None,
    promote: Literal["if-better", "never"] = "if-better",
) -> State:
    """Train, register and, if it is good enough, promote a network.

    Args:
        preset: the name of a file in presets/; `quick` is params.yaml itself.
        overrides: `section.key=value`, each laid over the preset.
        promote: `if-better` asks the gate; `never` stops after registration.

    Only what is missing is done: DVC decides whether a stage runs, and the registry whether there
    is a version with this model, its evaluation, and a decision by these gate rules.
    """
    with errors.told_plainly():
        root = project.find_root()
        project.enter(root)
        os.environ["MLFLOW_TRACKING_URI"] = store.tracking_uri(root)
        base = params.read(root)
        values = params.merge(base, root, preset, overrides or [])
        chosen = params.check(values)
        with _place(root, base, values) as tree:
            outcomes = run_stages(tree, chosen)
            return register(tree, chosen, outcomes, promote)


@contextmanager
def _place(root: Path, base: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Path]:
    """The checkout for the parameters of params.yaml, for others a working tree of their own."""
    if values == base:
        yield root
        return
    name = f"{flow_run.name or 'run'}-{str(flow_run.id)[:8]}"
    with worktree(root, name, values) as tree:
        get_run_logger().info("other parameters than params.yaml's: running in %s", tree)
        yield tree
