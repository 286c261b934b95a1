"""Run the stages of dvc.yaml, and say why each ran or did not.

DVC decides whether a stage runs: `changed` asks it once for all of them, `run` lets it reproduce
one. What had changed is read from dvc.lock, which names every dependency, parameter and output.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet.checkout import dvc, dvc_cache, dvc_lock, dvc_settings, dvc_yaml, stage_lock
from resnet.checkout.dvc import Action
from resnet.system import mappings
from resnet.system.processes import Say


@dataclass(frozen=True)
class StageOutcome:
    """What became of one stage."""

    stage: str
    action: Action
    why: str
    seconds: float = 0.0

    def __str__(self) -> str:
        took = f" in {self.seconds:.0f} s" if self.action != "skipped" else ""
        return f"{self.stage}: {self.action}{took}: {self.why}"


def changed(root: Path, lock_seconds: float, say: Say) -> set[str]:
    """The stages of which DVC says that a dependency, a parameter or an output changed.

    One `dvc status`, which costs what one reproduction with nothing to do costs. A stage that is
    not in it has to run all the same when one before it does. Waits like `run`.
    """
    return set(dvc.status(dvc_yaml.stages(root), root, lock_seconds, say))


def skipped(stage: str, root: Path) -> StageOutcome:
    """The outcome of a stage that DVC found unchanged."""
    entry = dvc_lock.stages(root).get(stage, {})
    return StageOutcome(
        stage,
        "skipped",
        f"its {len(entry.get('deps', []))} dependencies and {len(_parameters(entry))} parameters "
        "are those of dvc.lock, and so are its outputs",
    )


def run(stage: str, root: Path, lock_seconds: float, say: Say) -> StageOutcome:
    """Let DVC reproduce one stage in `root`, each line of its output given to `say`.

    While another process works on the same files, or runs the stage with the same inputs in another
    working tree, waits for it up to `lock_seconds`. Raises DvcError with the stage's own error.
    """
    before = dvc_lock.stages(root).get(stage)
    started = time.monotonic()
    with stage_lock.holding(stage, root, lock_seconds, say):
        action = dvc.reproduce(stage, root, lock_seconds, say)
    seconds = time.monotonic() - started
    if action == "skipped":
        return skipped(stage, root)
    why = explain(before, dvc_lock.stages(root)[stage])
    if action == "restored":
        why = f"computed before from the same inputs ({why})"
    return StageOutcome(stage, action, why, seconds)


def restorable(stage: str, root: Path) -> bool:
    """Whether DVC's cache holds every output that dvc.lock names for the stage."""
    outputs = dvc_lock.stages(root).get(stage, {}).get("outs", [])
    cache = dvc_settings.cache_folder(root)
    return bool(outputs) and all(dvc_cache.place(cache, out["md5"]).exists() for out in outputs)


def explain(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str:
    """What differs between two entries of one stage in dvc.lock, in words."""
    if before is None:
        return "it has not run here before"
    reasons = []
    if before.get("cmd") != after.get("cmd"):
        reasons.append("its command changed")
    reasons += mappings.changes(_parameters(before), _parameters(after))
    old, new = _dependencies(before), _dependencies(after)
    reasons += [f"{path} changed" for path in mappings.different(old, new)]
    return "; ".join(reasons) or "its outputs were missing, or not as it had left them"


def _parameters(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The values from params.yaml that a stage ran with, by their dotted keys."""
    return mappings.flatten(entry.get("params", {}).get("params.yaml", {}))


def _dependencies(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The md5 of each dependency that a stage ran with, by its path."""
    return {dependency["path"]: dependency.get("md5") for dependency in entry.get("deps", [])}
