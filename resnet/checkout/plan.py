"""What a run of the stages would do, and why: DVC's status in, a plan per stage out.

Nothing is run, and `dvc repro --dry` is not asked: it says "is cached" of a stage whose parameters
have changed, because it looks for what the stage ran with before.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from resnet import params
from resnet.checkout import dvc, dvc_lock, dvc_yaml, stages
from resnet.system import mappings
from resnet.system.processes import Say

DEPS, OUTS, PARAMS = "changed deps", "changed outs", "params.yaml"


@dataclass(frozen=True)
class StagePlan:
    """What would become of one stage."""

    stage: str
    action: Literal["run", "restore", "skip", "depends"]
    why: str


def plan(root: Path, lock_seconds: float, say: Say) -> list[StagePlan]:
    """What a run in the tree at `root` would do with each stage, in their order.

    One `dvc status`. A stage that is to run may still be restored: if it has run with the same
    inputs before, DVC's cache of runs has the result. Raises DvcError.
    """
    names = dvc_yaml.stages(root)
    found = dvc.status(names, root, lock_seconds, say)
    entries, values = dvc_lock.stages(root), params.read(root)
    plans: list[StagePlan] = []
    awaited: set[str] = set()  # outputs of stages that would run or be restored
    for name in names:
        changes, entry = found.get(name, {}), entries.get(name)
        reasons = _reasons(changes, entry, values, awaited)
        undecided = [one.stage for one in plans if one.action in ("run", "depends")]
        plans.append(one := _plan(name, root, changes, reasons, undecided))
        if one.action != "skip":
            awaited.update(out["path"] for out in (entry or {}).get("outs", ()))
    return plans


def _plan(
    name: str,
    root: Path,
    changes: Mapping[str, Any],
    reasons: list[str],
    undecided: Collection[str],
) -> StagePlan:
    """`undecided`: the stages before it whose outputs are not known."""
    if reasons:
        return StagePlan(name, "run", "; ".join(reasons))
    if undecided:
        return StagePlan(name, "depends", f"on what {' and '.join(undecided)} will give")
    outs = [f"{path} {word}" for path, word in changes.get(OUTS, {}).items()]
    if not outs:
        return StagePlan(name, "skip", stages.skipped(name, root).why)
    why = f"changed outs: {', '.join(outs)}"
    if stages.restorable(name, root):
        return StagePlan(name, "restore", f"{why}; DVC's cache has them as dvc.lock names them")
    return StagePlan(name, "run", why)


def _reasons(
    changes: Mapping[str, Any],
    entry: Mapping[str, Any] | None,
    values: Mapping[str, Any],
    awaited: Collection[str],
) -> list[str]:
    """Why the stage would run whatever is before it, in words; its outputs are no reason here."""
    if entry is None:
        return ["it has not run here before"]
    reasons = [kind for kind in changes if kind not in (DEPS, OUTS)]
    for path, word in changes.get(DEPS, {}).items():
        if path == PARAMS:
            reasons += _parameters(entry, values, word)
        elif not any(Path(out).is_relative_to(path) for out in awaited):  # it may be their folder
            reasons.append(f"{path} {word}")
    return reasons


def _parameters(
    entry: Mapping[str, Any], values: Mapping[str, Any], changed: Collection[str]
) -> list[str]:
    """`key old → new` for each parameter of the sections and keys that DVC names."""
    recorded = entry.get("params", {}).get(PARAMS, {})
    old = mappings.flatten({key: recorded.get(key) for key in changed})
    new = mappings.flatten({key: mappings.at(values, key) for key in changed})
    return mappings.changes(old, new)
