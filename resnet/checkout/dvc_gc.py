"""The entries of DVC's cache that nothing needs: list them, remove them."""

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from resnet.checkout import dvc, dvc_cache, git

LOCK_SECONDS = 60.0


def unneeded(root: Path, md5s: Collection[str]) -> list[Path]:
    """The entries that no commit of the checkout at `root` names, nor its dvc.lock, nor `md5s`.

    A folder's md5 stands for its files too. Raises DvcError where DVC is busy for too long.
    """
    with _keeping(md5s, root) as options:
        return dvc.collect_garbage(["--dry", *options], root, LOCK_SECONDS)


def remove(root: Path, md5s: Collection[str]) -> None:
    """Remove what `unneeded` lists from the cache; a remote keeps what it has."""
    with _keeping(md5s, root) as options:
        dvc.collect_garbage(["--force", *options], root, LOCK_SECONDS)


@contextmanager
def _keeping(md5s: Collection[str], root: Path) -> Iterator[list[str]]:
    """The options with which `dvc gc` keeps the checkout's data, all commits', and `md5s`.

    It can keep what other projects need, so the md5s become the outputs of one.
    """
    with tempfile.TemporaryDirectory() as project_folder:
        folder = Path(project_folder)
        git.run(folder, "init", "--quiet")
        (folder / ".dvc").mkdir()
        # With the checkout's cache, where DVC reads which files belong to a folder's md5.
        (folder / ".dvc" / "config").write_text(f"[cache]\n    dir = {dvc_cache.folder(root)}\n")
        outs = [{"path": str(k), "hash": "md5", "md5": md5} for k, md5 in enumerate(sorted(md5s))]
        if outs:
            (folder / "needed.dvc").write_text(yaml.safe_dump({"outs": outs}))
        yield ["--workspace", "--all-commits", "--all-experiments", "--projects", project_folder]
