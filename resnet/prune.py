"""Find what nobody needs any more, in the registry, in DVC's cache and in .state, and remove it."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from resnet import files, garbage, locks, project, provenance, worktree
from resnet.errors import PipelineError
from resnet.registry import ledger, store, unheld
from resnet.registry.lock import Lock, holding
from resnet.registry.unheld import Unheld


@dataclass(frozen=True)
class Item:
    """Something that nobody needs."""

    kind: str
    text: str
    size: int  # bytes

    def __str__(self) -> str:
        return f"{self.kind:<11} {self.text}{f', {_megabytes(self.size)}' if self.size else ''}"


def prune(root: Path, name: str, days: float, delete: bool) -> list[Item]:
    """What no alias, event or tag holds and is older than `days`; it is removed with `delete`.

    DVC's cache keeps what any commit, the checkout, or a version that stays needs; no remote is
    touched. Raises PipelineError, and removes nothing, where a version that stays does not say
    which data it needs, or a run is under way whose data no commit or version names yet.
    """
    busy = worktree.busy(root)
    if busy:
        raise PipelineError(
            f"a run is at work in {busy[0]}, and no commit or version names its data yet: run "
            "this again when it has ended"
        )
    client, before = store.client(root), datetime.now(UTC) - timedelta(days=days)
    alone = _alone(root, client, name) if delete else nullcontext()
    with alone as held, tempfile.TemporaryDirectory() as folder:
        abandoned = _abandoned(root, before)
        trees = worktree.left_over(root, before.timestamp())
        going_on = [one / "mlflow-run" for one in _checkpoints(root) if one not in abandoned]
        resumed = {note.read_text() for note in going_on if note.exists()}
        found = unheld.find(client, name, before, resumed)
        needed = unheld.needed(client, found, Path(folder)) | _needed_by_trees(root, trees)
        items = [
            *_registered(client, name, found),
            *(Item("checkpoints", str(path), files.size(path)) for path in abandoned),
            *(Item("tree", str(path), files.size(path)) for path in trees),
            *_cached(garbage.unneeded(root, needed)),
        ]
        if held:
            held.confirm()
            unheld.delete(client, name, found)
            for path in abandoned:
                _remove(path)
            worktree.remove_left_over(root, before.timestamp())
            garbage.remove(root, needed)
    return items


@contextmanager
def _alone(root: Path, client: Any, name: str) -> Iterator[Lock]:
    """In the block nothing is registered on this machine, and no alias of `name` moves."""
    with store.one_at_a_time(root, "publish"), holding(client, name, ledger.whoever()) as held:
        yield held


def as_text(items: Sequence[Item], deleted: bool) -> str:
    """A line an item, and what became of them."""
    if not items:
        return "nothing to remove: everything is held, or too new"
    total = _megabytes(sum(item.size for item in items))
    end = (
        f"removed, {total}; MLflow keeps the files of runs until 'mlflow gc' removes them"
        if deleted
        else f"{total}; nothing was removed: 'resnet prune --delete' does"
    )
    return "\n".join([*map(str, items), end])


def _registered(client: Any, name: str, found: Unheld) -> Iterator[Item]:
    for number, made in found.versions.items():
        yield Item("version", f"{name} version {number}, registered {made:%Y-%m-%d}", 0)
    for run in found.runs:
        started = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
        text = f"{run.info.run_name} {run.info.run_id}, {run.info.status}, {started:%Y-%m-%d}"
        yield Item("run", text, unheld.size(client, run))


def _cached(entries: Sequence[Path]) -> Iterator[Item]:
    if entries:
        total = sum(entry.stat().st_size for entry in entries)
        yield Item("DVC's cache", f"{len(entries)} entries", total)


def _needed_by_trees(root: Path, gone: Sequence[Path]) -> set[str]:
    """The md5s in the dvc.locks of the trees that failed runs have left, those that go apart."""
    staying = [tree for tree in worktree.left_over(root) if tree not in gone]
    locked = [provenance.Lock.read(tree) for tree in staying if (tree / "dvc.lock").exists()]
    return {md5 for lock in locked for md5 in lock.outputs.values()}


def _abandoned(root: Path, before: datetime) -> list[Path]:
    """The checkpoints of trainings that nobody is at, unchanged since `before` that time."""
    return [
        folder
        for folder in _checkpoints(root)
        if max(path.stat().st_mtime for path in (folder, *folder.iterdir())) < before.timestamp()
        and not locks.is_held(_lock(folder))
    ]


def _checkpoints(root: Path) -> list[Path]:
    return sorted(path for path in (project.state(root) / "checkpoints").glob("*") if path.is_dir())


def _lock(checkpoints: Path) -> Path:
    """What the process that trains holds."""
    return checkpoints.with_suffix(".lock")


def _remove(checkpoints: Path) -> None:
    """Unless somebody has taken the training up."""
    with suppress(Timeout), FileLock(_lock(checkpoints), timeout=0):
        shutil.rmtree(checkpoints)
        _lock(checkpoints).unlink()


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
