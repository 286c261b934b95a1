"""The entries of DVC's cache that nothing needs: list them, remove them."""

import re
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from resnet.checkout import dvc, dvc_cache, dvc_settings, git
from resnet.errors import PipelineError

LOCK_SECONDS = 60.0
ENTRY = re.compile(r"[0-9a-f]{30}(\.dir)?")  # and not what DVC is just writing


def unneeded(root: Path, md5s: Collection[str], before: float) -> list[Path]:
    """The entries that no commit of the checkout at `root` names, nor its dvc.lock, nor `md5s`.

    A folder's md5 stands for its files too. What came into the cache after the time `before`, in
    seconds since 1970, is needed. Raises DvcError where DVC is busy for too long, and PipelineError
    where the cache is not the checkout's own: nobody knows what the others need.
    """
    with _keeping(md5s, root, before) as options:
        return dvc.collect_garbage(["--dry", *options], root, LOCK_SECONDS)


def remove(root: Path, md5s: Collection[str], before: float) -> None:
    """Remove what `unneeded` lists from the cache; a remote keeps what it has."""
    with _keeping(md5s, root, before) as options:
        dvc.collect_garbage(["--force", *options], root, LOCK_SECONDS)


@contextmanager
def _keeping(md5s: Collection[str], root: Path, before: float) -> Iterator[list[str]]:
    """The options with which `dvc gc` keeps the checkout's data, all commits', and `md5s`.

    It can keep what other projects need, so the md5s become the outputs of one.
    """
    cache = dvc_settings.cache_folder(root)
    if dvc_settings.shares_cache(root):
        raise PipelineError(f"{cache} is not this checkout's own cache: nothing is removed there")
    needed = sorted({*md5s, *_newer(cache, before)})
    with tempfile.TemporaryDirectory() as project_folder:
        folder = Path(project_folder)
        git.run(folder, "init", "--quiet")
        # With the checkout's cache, where DVC reads which files belong to a folder's md5.
        dvc_settings.write(folder, {"cache": {"dir": str(cache)}})
        outs = [{"path": str(k), "hash": "md5", "md5": md5} for k, md5 in enumerate(needed)]
        if outs:
            (folder / "needed.dvc").write_text(yaml.safe_dump({"outs": outs}))
        yield ["--workspace", "--all-commits", "--all-experiments", "--projects", project_folder]


def _newer(cache: Path, before: float) -> set[str]:
    """The md5s of the entries that came into the cache, or were linked to, after `before`.

    A file's own time would not do: it keeps its age when it comes into the cache.
    """
    md5s = {
        entry.parent.name + entry.name
        for entry in (cache / "files" / "md5").glob("??/*")
        if entry.stat().st_ctime >= before and ENTRY.fullmatch(entry.name)
    }
    folders = [dvc_cache.place(cache, md5) for md5 in md5s if md5.endswith(dvc_cache.FOLDER)]
    return md5s.difference(*(dvc_cache.listing(folder).values() for folder in folders))
