"""Run the stages of dvc.yaml, and say why each ran or did not. The only caller of `dvc`.

DVC decides whether a stage runs: `changed` asks it once for all of them, `run` lets it reproduce
one. What had changed is read from dvc.lock, which names every dependency, parameter and output.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from resnet.checkout import dvc_cache, dvc_lock, dvc_yaml, project
from resnet.errors import PipelineError
from resnet.system import processes

DVC_ERROR = "ERROR: "
# What DVC says to somebody who types, and is of no use in a log.
HINTS = (
    "To track the changes",
    "git add",
    "To enable auto staging",
    "dvc config",
    "Use `dvc push`",
)
BUSY = "is busy, it is being blocked by"
RESTORED = "is cached - skipping run"
UNCHANGED = "didn't change, skipping"
RETRY_SECONDS = 5.0


class StageError(PipelineError):
    """A stage ended with an error; the message is the stage's own last line."""


@dataclass(frozen=True)
class Outcome:
    """What became of one stage."""

    stage: str
    action: Literal["ran", "restored", "skipped"]
    why: str
    seconds: float = 0.0

    def __str__(self) -> str:
        took = f" in {self.seconds:.0f} s" if self.action != "skipped" else ""
        return f"{self.stage}: {self.action}{took}: {self.why}"


def changed(root: Path, lock_seconds: float, say: Callable[[str], None]) -> set[str]:
    """The stages of which DVC says that a dependency, a parameter or an output changed.

    One `dvc status`, which costs what one reproduction with nothing to do costs. A stage that is
    not in it has to run all the same when one before it does. Waits like `run`.
    """
    lines = dvc("status", ["status", "--json", *dvc_yaml.stages(root)], root, lock_seconds, say)
    return set(json.loads(next(line for line in lines if line.startswith("{"))))


def skipped(stage: str, root: Path) -> Outcome:
    """The outcome of a stage that DVC found unchanged."""
    entry = dvc_lock.stages(root).get(stage, {})
    files = len(entry.get("deps", []))
    values = len(_flat(entry.get("params", {})))
    return Outcome(
        stage,
        "skipped",
        f"its {files} dependencies and {values} parameters are those of dvc.lock, "
        "and so are its outputs",
    )


def run(
    stage: str,
    root: Path,
    lock_seconds: float,
    say: Callable[[str], None],
) -> Outcome:
    """`dvc repro --single-item STAGE` in `root`, each line of it given to `say`.

    Where another process is at work on the same files, waits for it up to `lock_seconds`.
    Raises StageError with the stage's own last line.
    """
    before = dvc_lock.stages(root).get(stage)
    started = time.monotonic()
    lines = dvc(
        stage,
        ["repro", "--single-item", stage],
        root,
        lock_seconds,
        lambda line: None if line.strip().startswith(HINTS) else say(line),
    )
    seconds = time.monotonic() - started
    if any(UNCHANGED in line for line in lines):
        return skipped(stage, root)
    why = explain(before, dvc_lock.stages(root)[stage])
    if any(RESTORED in line for line in lines):
        return Outcome(stage, "restored", f"computed before from the same inputs ({why})", seconds)
    return Outcome(stage, "ran", why, seconds)


def restorable(stage: str, root: Path) -> bool:
    """Whether DVC's cache holds every output that dvc.lock names for the stage."""
    outs = dvc_lock.stages(root).get(stage, {}).get("outs", [])
    home = dvc_cache.folder(root)
    return bool(outs) and all(dvc_cache.place(home, out["md5"]).exists() for out in outs)


def explain(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str:
    """What differs between two entries of one stage in dvc.lock, in words."""
    if before is None:
        return "it has not run here before"
    reasons = []
    if before.get("cmd") != after.get("cmd"):
        reasons.append("its command changed")
    old, new = (_flat(entry.get("params", {})) for entry in (before, after))
    reasons += [
        f"{key} {old.get(key)} → {new.get(key)}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    old, new = (
        {one["path"]: one.get("md5") for one in entry.get("deps", [])} for entry in (before, after)
    )
    reasons += [
        f"{path} changed"
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]
    return "; ".join(reasons) or "its outputs were not there, or not as it had left them"


def dvc(
    what: str, words: Sequence[str], root: Path, lock_seconds: float, say: Callable[[str], None]
) -> list[str]:
    """The lines of `dvc WORDS`, run again while another process is at work on its files.

    Waits for that one up to `lock_seconds`. Raises StageError, which names the job `what`.
    """
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", *words]
    started = time.monotonic()
    while True:
        code, lines = processes.stream(command, root, project.environment(root), say)
        if code == 0:
            return lines
        if not any(BUSY in line for line in lines):
            raise StageError(f"{what}: {_reason(lines, f'dvc exited with {code}')}")
        waited = time.monotonic() - started
        if waited > lock_seconds:
            raise StageError(
                f"{what}: another process has been at work on its files for {waited:.0f} s: "
                "wait for it (runtime.lock_seconds says how long), or end it, and run again"
            )
        say(f"{what}: another process is at work on its files; waiting for it")
        time.sleep(RETRY_SECONDS)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"params.yaml": {"train": {"epochs": 3}}} → {"train.epochs": 3}"""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = key if not prefix or prefix == "params.yaml" else f"{prefix}.{key}"
        flat |= _flat(value, name) if isinstance(value, Mapping) else {name: value}
    return flat


def _reason(lines: list[str], otherwise: str) -> str:
    """The error that the stage itself gave; else DVC's; else `otherwise`."""
    theirs = [line.removeprefix(DVC_ERROR) for line in lines if line.startswith(DVC_ERROR)]
    own = itertools.takewhile(lambda line: not line.startswith(DVC_ERROR), lines)
    return processes.error(list(own)) or (theirs or lines or [otherwise])[-1]
