"""Bring the seven raw files of a data set into place, verified.

an archive, a folder, the official address or the generator → paths.raw with exactly the published
files. They are verified before anything reads them, and are put into place all at once.
"""

import gzip
import os
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any

from resnet import params
from resnet.data import datasets, sources
from resnet.data.datasets import CHUNK, Dataset, Published
from resnet.data.sets import shapes
from resnet.data.sources import Named
from resnet.errors import PipelineError
from resnet.system import disk_errors, files

ADVICE = "take a good copy of CIFAR-10's cifar-10-python.tar.gz"
WAYS_OUT = "run this again, or set CIFAR10_ARCHIVE to a .tar.gz of CIFAR-10 or a folder with it"


def fetch(data: params.Data, paths: params.Paths, runtime: params.Runtime) -> None:
    """Make paths.raw hold the data set's files and no other; do nothing where it does.

    Raises PipelineError, and leaves paths.raw as it was, where they cannot be had or are not
    those published.
    """
    bring(datasets.load(data.dataset), paths, runtime)


def bring(dataset: Dataset, paths: params.Paths, runtime: params.Runtime) -> None:
    """`fetch` of a data set."""
    if dataset.holds(paths.raw):
        print(f"fetch: {paths.raw} holds {dataset.name}, verified", flush=True)
        return
    with disk_errors.writing(paths.raw), files.replacing(paths.raw) as draft:
        draft.mkdir()
        if dataset.archive is None:
            shapes.generate(draft, dataset)
            origin, advice = "the generator", "this is a defect of this project"
        elif named := sources.named(paths):
            _from_named(named, dataset, draft)
            origin, advice = named.origin, f"name a good copy in {named.by}, or none to download it"
        else:
            _from_address(dataset.archive, dataset, draft, runtime)
            origin, advice = dataset.archive.url, "run this again"
        dataset.verify(draft, origin, advice)
    print(f"fetch: {dataset.name} from {origin}: {len(dataset.files)} files verified", flush=True)


def _from_named(named: Named, dataset: Dataset, draft: Path) -> None:
    if named.path.is_dir():
        _from_folder(named, dataset, draft)
    else:
        _from_archive(named.path, named.origin, dataset, draft)


def _from_address(
    archive: Published, dataset: Dataset, draft: Path, runtime: params.Runtime
) -> None:
    from resnet.data import download  # it needs packages that nobody else does

    downloads = Path(os.environ.get("RESNET_STATE", ".state")) / "downloads"
    path = downloads / archive.url.rpartition("/")[2]
    download.download(archive.url, path, archive.file, runtime, WAYS_OUT)
    _from_archive(path, archive.url, dataset, draft)
    path.unlink()


def _from_folder(named: Named, dataset: Dataset, draft: Path) -> None:
    folder = sources.batches(named, dataset)
    for name in dataset.files:
        if (folder / name).is_file():  # what is not there, `verify` misses
            with (folder / name).open("rb") as stream:
                _copy(stream, draft / name, _largest(dataset), named.origin)


def _from_archive(archive: Path, origin: str, dataset: Dataset, draft: Path) -> None:
    """Stream the published members, known by their exact names, out of a .tar.gz into `draft`."""
    known = {f"{dataset.folder}/{name}": name for name in dataset.files}
    limit = 2 * sum(file.size for file in dataset.files.values()) + CHUNK
    try:
        with gzip.open(archive) as unzipped:
            bounded: Any = _Bounded(unzipped, origin, limit)
            with tarfile.open(fileobj=bounded, mode="r|", bufsize=CHUNK) as tar:
                for member in tar:
                    _refuse_hostile(member, origin)
                    stream = tar.extractfile(member)
                    if (name := known.get(member.name)) and stream is not None:
                        _copy(stream, draft / name, _largest(dataset), origin)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise PipelineError(
            f"{origin} is not a whole .tar.gz ({error}): it is cut off, damaged or something else"
            f"; {ADVICE}"
        ) from error


class _Bounded:
    """A .gz that refuses to grow past `limit` bytes: a small one can unpack to terabytes."""

    def __init__(self, unzipped: gzip.GzipFile, origin: str, limit: int) -> None:
        self.unzipped, self.origin, self.limit, self.left = unzipped, origin, limit, limit

    def read(self, size: int = -1) -> bytes:
        content = self.unzipped.read(size)
        self.left -= len(content)
        if self.left < 0:
            raise PipelineError(
                f"{self.origin} unpacks to more than {self.limit} bytes, which CIFAR-10's does "
                f"not; {ADVICE}"
            )
        return content


def _refuse_hostile(member: tarfile.TarInfo, origin: str) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise PipelineError(f"{origin}: '{member.name}' leads out of the archive; {ADVICE}")
    if not (member.isreg() or member.isdir()):
        raise PipelineError(f"{origin}: '{member.name}' is a link or a device; {ADVICE}")


def _largest(dataset: Dataset) -> int:
    """What a file may have at most: so swapped files are seen as that, and a bomb is stopped."""
    return max(file.size for file in dataset.files.values())


def _copy(stream: IO[bytes], path: Path, limit: int, origin: str) -> None:
    """`stream` into the file `path`, at most `limit` bytes."""
    left = limit
    with path.open("wb") as out:
        while chunk := stream.read(CHUNK):
            left -= len(chunk)
            if left < 0:
                raise PipelineError(
                    f"{origin}: {path.name} has more than {limit} bytes, the size of the largest "
                    f"published file; {ADVICE}"
                )
            out.write(chunk)
