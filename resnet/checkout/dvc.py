"""Run `dvc` and read what it prints. The only caller of `dvc`.

What DVC prints is no interface, and no version of it promises these texts. All that this project
relies on stand here, so that an upgrade of DVC has one place; the tests run the real one.
"""

import itertools
import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from resnet.checkout import dvc_rwlock, git, project
from resnet.errors import PipelineError
from resnet.system import processes
from resnet.system.processes import Say

ERROR = "ERROR: "
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
REMOVING = "Removing "  # begins the line of a cache entry in the output of `dvc gc --dry`
RETRY_SECONDS = 5.0
WAITING = "another process is working on the same files; waiting"

Action = Literal["ran", "restored", "skipped"]


class DvcError(PipelineError):
    """A `dvc` command failed; the message is that of the stage it ran, or else DVC's own."""


def waiting_only(line: str) -> None:
    """A `say` that passes on, to stderr, only that something waits for another process."""
    if line.endswith(WAITING):
        print(line, file=sys.stderr, flush=True)


def run(job: str, words: Sequence[str], root: Path, lock_seconds: float, say: Say) -> list[str]:
    """The lines that `dvc WORDS` printed in `root`, given to `say` as they came, but for an error.

    While another process works on the same files, it is run again for up to `lock_seconds`. Raises
    DvcError, whose message begins with `job`.
    """
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", *words]
    started = time.monotonic()
    while True:
        before_error = processes.BeforeError(say)
        code, lines = processes.stream(command, root, project.environment(root), before_error)
        if code == 0:
            before_error.release()
            return lines
        if not any(BUSY in line for line in lines):
            raise DvcError(f"{job}: {_reason(lines, f'dvc exited with {code}')}")
        holders = _awaited(root, lines)
        for holder in holders:
            if holder.state == "replaced":
                raise DvcError(f"{job}: {dvc_rwlock.advice(root, holder)}")
        waited = time.monotonic() - started
        if waited > lock_seconds:
            raise DvcError(
                f"{job}: another process has been working on the same files for {waited:.0f} s, "
                f"{' and '.join(map(str, holders)) or 'of which DVC has no name'}: wait for it "
                "(runtime.lock_seconds says how long), or end it, and run this again"
            )
        say(f"{job}: {WAITING}")
        time.sleep(RETRY_SECONDS)


def _awaited(root: Path, lines: list[str]) -> list[dvc_rwlock.Holder]:
    """The processes that DVC says it would have to wait for."""
    try:
        holders = dvc_rwlock.holders(root)
    except PipelineError:  # DVC is writing the file; where it is damaged, DVC says so itself
        return []
    return [holder for holder in holders if any(f"(PID {holder.pid})" in line for line in lines)]


def status(
    stages: Iterable[str], root: Path, lock_seconds: float, say: Say
) -> dict[str, dict[str, dict[str, Any]]]:
    """What DVC finds changed about each of the `stages`; one with nothing changed is left out.

    By the stage, then by DVC's words for the kind of change: `changed deps` and `changed outs` have
    a word for each path, such as `modified`; params.yaml has a mapping with a word for each key.
    Another kind, such as `changed command`, has nothing.
    """
    lines = run("status", ["status", "--json", *stages], root, lock_seconds, say)
    found = json.loads(next(line for line in lines if line.startswith("{")))
    return {stage: _by_kind(entries) for stage, entries in found.items()}


def _by_kind(entries: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """[{"changed deps": {…}}, "changed command"] → {"changed deps": {…}, "changed command": {}}"""
    kinds: dict[str, dict[str, Any]] = {}
    for entry in entries:
        kinds |= entry if isinstance(entry, dict) else {entry: {}}
    return kinds


def checkout(root: Path, lock_seconds: float, say: Say) -> None:
    """Put what dvc.lock and the .dvc files name into the tree, as far as the cache has it."""
    run("checkout", ["checkout", "--quiet", "--allow-missing"], root, lock_seconds, say)


def reproduce(stage: str, root: Path, lock_seconds: float, say: Say) -> Action:
    """`dvc repro --single-item STAGE`: what DVC did with the stage."""

    def say_without_hints(line: str) -> None:
        if not line.strip().startswith(HINTS):
            say(line)

    words = ["repro", "--single-item", stage]
    lines = run(stage, words, root, lock_seconds, say_without_hints)
    if any(UNCHANGED in line for line in lines):
        return "skipped"
    return "restored" if any(RESTORED in line for line in lines) else "ran"


def hidden_files(root: Path, lock_seconds: float) -> list[str]:
    """The .dvc files of a git checkout that DVC does not see, relative to `root`.

    A pattern of .gitignore or .dvcignore hides them. Those that git ignores do not count.
    """
    present = {name for name in git.listed(root, "*.dvc") if (root / name).is_file()}
    if not present:
        return []
    words = ("stage", "list", "--all", "--name-only")
    seen = run("stage list", words, root, lock_seconds, waiting_only)
    return sorted(present.difference(seen))


def collect_garbage(options: Sequence[str], root: Path, lock_seconds: float) -> list[Path]:
    """`dvc gc`: the cache entries that it lists; with --dry, those that it would remove."""
    lines = run("gc", ["gc", *options], root, lock_seconds, waiting_only)
    return [Path(line.removeprefix(REMOVING)) for line in lines if line.startswith(REMOVING)]


def _reason(lines: list[str], otherwise: str) -> str:
    """The error that the stage itself gave; else DVC's; else `otherwise`."""
    own = list(itertools.takewhile(lambda line: not line.startswith(ERROR), lines))
    dvcs = [line.removeprefix(ERROR) for line in lines if line.startswith(ERROR)]
    return processes.error(own) or (dvcs or lines or [otherwise])[-1]
