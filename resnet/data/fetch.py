"""Bring the raw files of a data set into place, verified.

an archive, a folder, the official address or the generator → paths.raw with exactly the published
files. They are verified before anything reads them, and are put into place all at once.
"""

import gzip
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any

from resnet import params
from resnet.data import sources
from resnet.data.datasets import CHUNK, Archive, Dataset
from resnet.data.sets import shapes
from resnet.data.sources import UserSource
from resnet.errors import PipelineError
from resnet.system import disk_errors, files


def fetch(dataset: Dataset, paths: params.Paths, runtime: params.Runtime, downloads: Path) -> None:
    """Make paths.raw hold the data set's files and no others; do nothing if it does.

    A download that is interrupted is kept in the folder `downloads` and resumed there. Raises
    PipelineError, and leaves paths.raw as it was, if the files are not available or are not those
    published.
    """
    if dataset.holds(paths.raw):
        print(f"fetch: {paths.raw} holds {dataset.name}, verified", flush=True)
        return
    with disk_errors.explain_write_errors(paths.raw), files.replacing(paths.raw) as draft:
        draft.mkdir()
        if dataset.archive is None:
            shapes.generate(draft, dataset)
            origin, advice = "the generator", "this is a defect of this project"
        elif source := sources.user_source(dataset, paths):
            _from_user(source, dataset, draft)
            origin = source.origin
            advice = f"name an intact copy in {source.setting}, or none to download it"
        else:
            _from_address(dataset.archive, dataset, draft, runtime, downloads)
            origin, advice = dataset.archive.url, "run this again"
        dataset.verify(draft, origin, advice)
    print(f"fetch: {dataset.name} from {origin}: {len(dataset.files)} files verified", flush=True)


def _from_user(source: UserSource, dataset: Dataset, draft: Path) -> None:
    if source.path.is_dir():
        _from_folder(source, dataset, draft)
    else:
        _from_archive(source.path, source.origin, dataset, draft)


def _from_address(
    archive: Archive, dataset: Dataset, draft: Path, runtime: params.Runtime, downloads: Path
) -> None:
    from resnet.data import download  # it needs packages that nobody else does

    path = downloads / _file_name(archive)
    advice = (
        f"run this again, or set {dataset.variable} to a .tar.gz of {dataset.title} or a folder "
        "with its files"
    )
    if archive.file is None:
        download.download_unverified(archive.url, path, _most(dataset), runtime, advice)
    else:
        download.download(archive.url, path, archive.file, runtime, advice)
    _from_archive(path, archive.url, dataset, draft)
    path.unlink()


def _from_folder(source: UserSource, dataset: Dataset, draft: Path) -> None:
    folder = sources.batch_folder(source, dataset)
    for name in dataset.files:
        if (folder / name).is_file():  # `verify` reports one that is missing
            with (folder / name).open("rb") as stream:
                _copy(stream, draft / name, source.origin, dataset)


def _from_archive(archive: Path, origin: str, dataset: Dataset, draft: Path) -> None:
    """Stream the published members, by their exact names, out of a .tar.gz into `draft`."""
    known = {f"{folder}/{name}": name for folder in dataset.folders for name in dataset.files}
    limit = _most(dataset)
    try:
        with gzip.open(archive) as unzipped:
            bounded: Any = _Bounded(unzipped, origin, limit, dataset)
            with tarfile.open(fileobj=bounded, mode="r|", bufsize=CHUNK) as tar:
                for member in tar:
                    _refuse_hostile(member, origin, dataset)
                    stream = tar.extractfile(member)
                    if (name := known.get(member.name)) and stream is not None:
                        _copy(stream, draft / name, origin, dataset)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise PipelineError(
            f"{origin} is not a complete .tar.gz ({error}): it is truncated, damaged or something "
            f"else; {_advice(dataset)}"
        ) from error


class _Bounded:
    """A .gz that refuses to grow past `limit` bytes: a small one can unpack to terabytes."""

    def __init__(self, unzipped: gzip.GzipFile, origin: str, limit: int, dataset: Dataset) -> None:
        self.unzipped, self.origin, self.dataset = unzipped, origin, dataset
        self.limit = self.left = limit

    def read(self, size: int = -1) -> bytes:
        content = self.unzipped.read(size)
        self.left -= len(content)
        if self.left < 0:
            raise PipelineError(
                f"{self.origin} unpacks to more than {self.limit} bytes, which the archive of "
                f"{self.dataset.title} does not; {_advice(self.dataset)}"
            )
        return content


def _refuse_hostile(member: tarfile.TarInfo, origin: str, dataset: Dataset) -> None:
    path, advice = PurePosixPath(member.name), _advice(dataset)
    if path.is_absolute() or ".." in path.parts:
        raise PipelineError(f"{origin}: '{member.name}' leads out of the archive; {advice}")
    if not (member.isreg() or member.isdir()):
        raise PipelineError(f"{origin}: '{member.name}' is a link or a device; {advice}")


def _most(dataset: Dataset) -> int:
    """The bytes that an archive may unpack to, or have."""
    # A member of a few bytes takes two blocks, and there may be others than the data set's.
    return 2 * sum(file.size + 1024 for file in dataset.files.values()) + CHUNK


def _advice(dataset: Dataset) -> str:
    name = f"'s {_file_name(dataset.archive)}" if dataset.archive else ""
    return f"use an intact copy of {dataset.title}{name}"


def _file_name(archive: Archive) -> str:
    return archive.url.rpartition("/")[2]


def _copy(stream: IO[bytes], path: Path, origin: str, dataset: Dataset) -> None:
    """Copy `stream` into the file `path`, at most as many bytes as any published file has.

    So swapped files are recognised, and a bomb is stopped.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    limit = left = max(file.size for file in dataset.files.values())
    with path.open("wb") as out:
        while chunk := stream.read(CHUNK):
            left -= len(chunk)
            if left < 0:
                raise PipelineError(
                    f"{origin}: {path.name} has more than {limit} bytes, the size of the largest "
                    f"published file; {_advice(dataset)}"
                )
            out.write(chunk)
