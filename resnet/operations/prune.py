"""Find what nobody needs any more, in the registry, in DVC's cache and in .state, and remove it."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from resnet.checkout import checkpoint_folders, dvc_gc, worktree
from resnet.checkout.dvc_lock import DvcLock
from resnet.errors import PipelineError
from resnet.registry import store, unreferenced
from resnet.registry.ledger.lock import Lock, holding
from resnet.registry.store import Client
from resnet.registry.unreferenced import Unheld
from resnet.system import files, processes

LONGEST = 36_500.0  # days


@dataclass(frozen=True)
class Item:
    """Something that nobody needs."""

    kind: str
    text: str
    size: int  # bytes

    def __str__(self) -> str:
        return f"{self.kind:<11} {self.text}{f', {_megabytes(self.size)}' if self.size else ''}"


@dataclass(frozen=True)
class _Plan:
    """What is to go, as found before anything does."""

    registered: Unheld
    checkpoints: Sequence[Path]
    before: datetime  # what is younger stays
    needed: frozenset[str]  # md5s in DVC's cache, besides those of commits and of the checkout
    items: Sequence[Item]


def prune(root: Path, name: str, days: float, delete: bool) -> list[Item]:
    """What no alias, event or tag holds and is older than `days`; it is removed with `delete`.

    DVC's cache keeps what any commit, the checkout, or a version that stays needs; no remote is
    touched. A kill leaves what the next call removes. Raises PipelineError, and removes nothing,
    where the ledger is broken, a version that stays does not say which data it needs, or a run is
    under way whose data no commit or version names yet; and where something came to be held, or a
    version was registered, since it was found: then nothing more is removed.
    """
    if not 0 <= days <= LONGEST:
        raise PipelineError(f"days is {days:g}: want a number from 0 to {LONGEST:g}")
    client, before = store.client(root), datetime.now(UTC) - timedelta(days=days)
    plan = _plan(root, client, name, before)  # takes long, so before the lock is taken
    if delete:
        with holding(client, name, processes.actor()) as lock:
            _carry_out(root, lock, plan)
    return list(plan.items)


def _plan(root: Path, client: Client, name: str, before: datetime) -> _Plan:
    _must_be_idle(root)
    abandoned = checkpoint_folders.abandoned(root, before.timestamp())
    trees = worktree.left_over(root, before.timestamp())
    notes = [
        checkpoint_folders.note(one) for one in checkpoint_folders.kept(root, before.timestamp())
    ]
    resumed = {note.read_text() for note in notes if note.exists()}
    found = unreferenced.find(client, name, before, resumed)
    with tempfile.TemporaryDirectory() as folder:
        needed = unreferenced.needed(client, found, Path(folder)) | _needed_by_trees(root, trees)
    items = [
        *_registered(client, name, found),
        *(Item("checkpoints", str(path), files.size(path)) for path in abandoned),
        *(Item("tree", str(path), files.size(path)) for path in trees),
        *_cached(dvc_gc.unneeded(root, needed)),
    ]
    return _Plan(found, abandoned, before, frozenset(needed), items)


def _carry_out(root: Path, lock: Lock, plan: _Plan) -> None:
    """Remove what is planned: first what names something, then what was named by it."""
    unreferenced.delete_versions(lock, plan.registered.versions)
    unreferenced.delete_runs(lock.client, plan.registered.runs)
    for folder in plan.checkpoints:
        checkpoint_folders.remove(folder)
    worktree.remove_left_over(root, plan.before.timestamp())
    _must_be_idle(root)
    unreferenced.require_no_newer(lock.client, plan.registered)
    lock.confirm()
    dvc_gc.remove(root, plan.needed)


def _must_be_idle(root: Path) -> None:
    busy = worktree.busy(root)
    if busy:
        raise PipelineError(
            f"a run is at work in {busy[0]}, and no commit or version names its data yet: run "
            "this again when it has ended"
        )


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


def _registered(client: Client, name: str, found: Unheld) -> Iterator[Item]:
    for number, made in found.versions.items():
        yield Item("version", f"{name} version {number}, registered {made:%Y-%m-%d}", 0)
    for run in found.runs:
        started = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
        text = f"{run.info.run_name} {run.info.run_id}, {run.info.status}, {started:%Y-%m-%d}"
        yield Item("run", text, unreferenced.size(client, run))


def _cached(entries: Sequence[Path]) -> Iterator[Item]:
    if entries:
        total = sum(entry.stat().st_size for entry in entries)
        yield Item("DVC's cache", f"{len(entries)} entries", total)


def _needed_by_trees(root: Path, gone: Sequence[Path]) -> set[str]:
    """The md5s in the dvc.locks of the trees that failed runs have left, those that go apart."""
    staying = [tree for tree in worktree.left_over(root) if tree not in gone]
    locked = [DvcLock.read(tree) for tree in staying if (tree / "dvc.lock").exists()]
    return {md5 for lock in locked for md5 in lock.outputs.values()}


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
