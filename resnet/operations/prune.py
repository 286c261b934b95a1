"""Find what nothing references in the registry, in DVC's cache and in .state, and remove it."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from resnet.checkout import checkpoint_folders, dvc_gc, dvc_settings, worktree
from resnet.checkout.dvc_lock import DvcLock
from resnet.errors import PipelineError
from resnet.registry import store, unreferenced
from resnet.registry.ledger.lock import ModelLock, holding
from resnet.registry.store import Client
from resnet.registry.unreferenced import Unreferenced
from resnet.system import files, processes

MAX_DAYS = 36_500.0


@dataclass(frozen=True)
class Item:
    """Something that nothing references."""

    kind: str
    text: str
    size: int  # bytes

    def __str__(self) -> str:
        return f"{self.kind:<11} {self.text}{f', {_megabytes(self.size)}' if self.size else ''}"


@dataclass(frozen=True)
class _Plan:
    """What to remove, as found before anything is removed."""

    registered: Unreferenced
    checkpoints: Sequence[Path]
    before: datetime  # what is newer stays
    needed: frozenset[str]  # md5s in DVC's cache, besides those of commits and of the checkout
    items: Sequence[Item]


def prune(root: Path, name: str, days: float, delete: bool) -> list[Item]:
    """What no alias, event or tag references and is older than `days`; `delete` removes it.

    DVC's cache keeps what any commit, the checkout, or a remaining version needs; no remote is
    touched, and no cache that other projects may share. If this is killed, the next call removes
    the rest. Raises PipelineError, and removes nothing, if the ledger is broken, a remaining
    version does not say which data it needs, or a run is in progress whose data no commit or
    version names yet; and if something was referenced, or a version was registered, after it was
    found: then nothing more is removed.
    """
    if not 0 <= days <= MAX_DAYS:
        raise PipelineError(f"days is {days:g}: want a number from 0 to {MAX_DAYS:g}")
    client, before = store.client(root), datetime.now(UTC) - timedelta(days=days)
    plan = _plan(root, client, name, before)  # takes long, so before the lock is taken
    if delete:
        _remove(root, client, name, plan)
    return list(plan.items)


def _plan(root: Path, client: Client, name: str, before: datetime) -> _Plan:
    _require_idle(root)
    abandoned = checkpoint_folders.abandoned(root, before.timestamp())
    trees = worktree.left_over(root, before.timestamp())
    resumable = checkpoint_folders.resumable(root, before.timestamp())
    notes = [checkpoint_folders.run_id_file(folder) for folder in resumable]
    resumed = {note.read_text() for note in notes if note.exists()}
    registered = unreferenced.find(client, name, before, resumed)
    with tempfile.TemporaryDirectory() as folder:
        needed = unreferenced.needed(client, registered, Path(folder)) | _needed_by_trees(
            root, trees
        )
    items = [
        *_registered(client, name, registered),
        *(Item("checkpoints", str(path), files.size(path)) for path in abandoned),
        *(Item("tree", str(path), files.size(path)) for path in trees),
    ]
    if not dvc_settings.shares_cache(root):
        items += _cached(dvc_gc.unneeded(root, needed, before.timestamp()))
    return _Plan(registered, abandoned, before, frozenset(needed), items)


def _remove(root: Path, client: Client, name: str, plan: _Plan) -> None:
    """Remove what is planned: first what references something, then what it referenced.

    The model's lock is held for each step that needs it, never for as long as all of them take:
    promotions wait for it.
    """
    with _locked(client, name) as lock:
        unreferenced.delete_versions(lock, plan.registered.versions)
    for run in plan.registered.runs:
        with _locked(client, name):
            unreferenced.delete_runs(client, [run])
    for folder in plan.checkpoints:
        checkpoint_folders.remove(folder)
    worktree.remove_left_over(root, plan.before.timestamp())
    if dvc_settings.shares_cache(root):
        return
    _require_idle(root)
    with _locked(client, name) as lock:
        unreferenced.require_no_newer(client, plan.registered)
        lock.confirm()
        dvc_gc.remove(root, plan.needed, plan.before.timestamp())


def _locked(client: Client, name: str) -> AbstractContextManager[ModelLock]:
    return holding(client, name, processes.actor())


def _require_idle(root: Path) -> None:
    busy = worktree.in_use(root)
    if busy:
        raise PipelineError(
            f"a run is in progress in {busy[0]}, and no commit or version names its data yet: "
            "run this again when it has ended"
        )


def left_alone(root: Path) -> str | None:
    """Why nothing is removed from DVC's cache; None if `prune` removes from it."""
    if not dvc_settings.shares_cache(root):
        return None
    return (
        f"DVC's cache {dvc_settings.cache_folder(root)} is not this checkout's own: other projects "
        "may need what is in it, so nothing is removed there; 'dvc gc --all-commits --projects' "
        "with the paths of all of them does it"
    )


def as_text(items: Sequence[Item], deleted: bool) -> str:
    """One line per item, and what became of them."""
    if not items:
        return "nothing to remove: everything is referenced or newer than the limit"
    total = _megabytes(sum(item.size for item in items))
    end = (
        f"removed, {total}; MLflow keeps the files of runs until 'mlflow gc' removes them"
        if deleted
        else f"{total}; nothing was removed: 'resnet prune --delete' removes it"
    )
    return "\n".join([*map(str, items), end])


def _registered(client: Client, name: str, found: Unreferenced) -> Iterator[Item]:
    for number, registered in found.versions.items():
        yield Item("version", f"{name} version {number}, registered {registered:%Y-%m-%d}", 0)
    for run in found.runs:
        started = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
        text = f"{run.info.run_name} {run.info.run_id}, {run.info.status}, {started:%Y-%m-%d}"
        yield Item("run", text, unreferenced.size(client, run))


def _cached(entries: Sequence[Path]) -> Iterator[Item]:
    if entries:
        total = sum(entry.stat().st_size for entry in entries)
        yield Item("DVC's cache", f"{len(entries)} entries", total)


def _needed_by_trees(root: Path, removed: Sequence[Path]) -> set[str]:
    """The md5s in the dvc.locks of trees that failed runs have left, except those in `removed`."""
    trees = [tree for tree in worktree.left_over(root) if tree not in removed]
    checkouts = [worktree.checkout_in(tree, root) for tree in trees]
    locks = [DvcLock.read(path) for path in checkouts if (path / "dvc.lock").exists()]
    return {md5 for lock in locks for md5 in lock.outputs.values()}


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
