"""Say what `resnet run` would do, and do nothing: the stages, then what the registry lacks."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from resnet import params
from resnet.checkout import dvc, plan
from resnet.checkout.plan import StagePlan
from resnet.checkout.worktree import worktree
from resnet.data import arrivals, synthetic
from resnet.pages.text_table import aligned
from resnet.registry import store
from resnet.registry.promotion import status
from resnet.registry.promotion.status import Status
from resnet.registry.tracking.outputs import StageReports


def report(
    root: Path, preset: str, overrides: Sequence[str], promote: str, or_synthetic: bool
) -> str:
    """What a run with these arguments would do, in words.

    For parameters other than those of params.yaml, as such a run has it, in a working tree of its
    own, which is removed. Raises PipelineError for invalid parameters.
    """
    base = params.read(root)
    values = params.merge(base, root, preset, overrides)
    notice = synthetic.notice(root, params.check(values)) if or_synthetic else None
    if notice:
        values = params.merge(base, root, preset, [*overrides, *synthetic.OVERRIDES])
    parameters = params.check(values)
    with _tree(root, base, values, parameters) as tree:
        lines = [notice] if notice else []
        if tree != root:
            lines.append("The parameters differ from params.yaml: the run has a tree of its own.")
        if absent := arrivals.absent(tree, parameters):
            lines.append(f"pull: {', '.join(path.stem for path in absent)}")
        plans = plan.plan(tree, parameters.runtime.lock_seconds, dvc.waiting_only)
        lines += aligned([(one.stage, one.action, one.why) for one in plans])
        lines += _registry(root, tree, parameters, plans, promote)
    return "\n".join([*lines, "Nothing was done: this was a dry run."])


@contextmanager
def _tree(
    root: Path, base: Mapping[str, Any], values: Mapping[str, Any], parameters: params.Params
) -> Iterator[Path]:
    """The checkout, or for other parameters a tree with what its stages have made before."""
    if values == base:
        yield root
        return
    with worktree(root, f"dry-run-{os.getpid()}", values, keep_failed=False) as tree:
        dvc.checkout(tree, parameters.runtime.lock_seconds, dvc.waiting_only)
        yield tree


def _registry(
    root: Path, tree: Path, parameters: params.Params, plans: Sequence[StagePlan], promote: str
) -> list[str]:
    """What would be registered and decided."""
    name, gate = parameters.model_name, f"the gate is asked ({promote})"
    if promote == "never":
        gate = "the gate is not asked (never)"
    if any(one.action in ("run", "depends") for one in plans):
        return [
            "A stage that has run with the same inputs before is restored, by DVC's cache of runs.",
            f"registry: a new version of {name}, unless it has this model; then {gate}",
        ]
    if any(one.action == "restore" for one in plans):
        return [f"registry: what {name} lacks of the restored model; then {gate}"]
    reports = StageReports.read(parameters, tree)
    if not store.exists(root):
        return [f"registry: a first version of {name}; then {gate}"]
    found = status.look_up(store.client(root), parameters, reports)
    return [f"registry: {line}" for line in _missing(found, name, gate)]


def _missing(found: Status, name: str, gate: str) -> list[str]:
    if found.version is None:
        return [f"a new version of {name}; then {gate}"]
    lines = [] if found.evaluated else [f"the evaluation of {found.version} again"]
    if not found.portable:
        lines.append(f"the portable forms of {found.version}")
    if not found.card_is_current:
        lines.append(f"the model card of {found.version} again")
    if not found.decided:
        lines.append(f"{found.version} is registered; {gate}")
    if found.request:
        lines.append(str(found.request))
    lines += [f"warning: {problem}" for problem in found.problems]
    return lines or [f"{found.version} is registered: nothing to do"]
