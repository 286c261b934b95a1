"""Which files each data set has, and whether a folder holds exactly those.

manifests/NAME.json → `Dataset`; a folder → nothing, or an error that names the file that is not the
published one.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet.errors import PipelineError
from resnet.forms import names
from resnet.forms.names import FormName
from resnet.params import MANIFESTS
from resnet.system import files

CHUNK = 1 << 20


@dataclass(frozen=True)
class File:
    """A published file: its size in bytes, and the hex digests of its content."""

    size: int
    md5: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "File":
        """The file at `path`, which is read once."""
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        size = 0
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                size += len(chunk)
                md5.update(chunk)
                sha256.update(chunk)
        return cls(size, md5.hexdigest(), sha256.hexdigest())


@dataclass(frozen=True)
class Published:
    """A file that somebody has published: its address, and what is there."""

    url: str
    file: File


@dataclass(frozen=True)
class Archive:
    """A .tar.gz with the files of a data set, and its address."""

    url: str
    file: (
        File | None
    )  # None where the archive is made anew for each download: its files are verified


@dataclass(frozen=True)
class Dataset:
    """A data set, as published; without `archive` if it is generated."""

    name: str
    title: str  # as its publication calls it
    form: FormName
    shape: tuple[int, ...]  # of a sample
    reader: str  # of its files: see `resnet.data.readers`
    variable: str | None  # of the environment: the user's own archive or folder
    archive: Archive | None  # the official one
    folders: tuple[str, ...]  # in which archives may have the files: the official one's first
    classes: tuple[str, ...]
    images_per_batch: int | None  # in files of CIFAR-10's form
    files: Mapping[str, File]
    annotations: Mapping[str, Published]  # what publications say about its test samples

    @property
    def digest(self) -> str:
        """SHA-256, hex, of all the files' own: it tells whether two data sets are the same."""
        digests = json.dumps({name: file.sha256 for name, file in sorted(self.files.items())})
        return hashlib.sha256(digests.encode()).hexdigest()

    @property
    def training_batches(self) -> list[str]:
        return sorted(name for name in self.files if name.startswith("data_batch_"))

    def verify(self, folder: Path, origin: str, advice: str) -> None:
        """Compare each file in `folder` with the published one, by size, md5 and SHA-256.

        Raises PipelineError at the first that is missing or differs; its message begins with
        `origin`, where the files came from, and ends with `advice`.
        """
        for name, published in self.files.items():
            path = folder / name
            if not path.is_file():
                raise PipelineError(f"{origin}: {name} is missing; {advice}")
            file = File.of(path)
            if file != published:
                raise PipelineError(f"{origin}: {self._difference(name, file)}; {advice}")

    def holds(self, folder: Path) -> bool:
        """Whether `folder` has every file of the data set, as published."""
        try:
            self.verify(folder, "", "")
        except PipelineError:
            return False
        return True

    def _difference(self, name: str, file: File) -> str:
        for other_name, other in self.files.items():
            if file == other:
                return f"{name} has the content of {other_name}: the files were swapped"
        published = self.files[name]
        if file.size != published.size:
            return f"{name} has {file.size} bytes, the published one {published.size}"
        if file.sha256 != published.sha256:
            return (
                f"{name}: sha256 is {file.sha256[:12]}…, the published one is "
                f"{published.sha256[:12]}…: the file is damaged"
            )
        return f"{name}: md5 is {file.md5}, the published one is {published.md5}"


def load(name: str) -> Dataset:
    """The data set of that name, from its manifest."""
    manifest = files.read_json(MANIFESTS / f"{name}.json")
    archive = manifest["archive"]
    return Dataset(
        name=name,
        title=manifest["title"],
        form=names.check(manifest["form"]),
        shape=tuple(manifest["shape"]),
        reader=manifest["reader"],
        variable=manifest["variable"],
        archive=_archive(archive) if archive else None,
        folders=tuple(manifest["folders"]),
        classes=tuple(manifest["classes"]),
        images_per_batch=manifest.get("images_per_batch"),
        files={name: File(**entry) for name, entry in manifest["files"].items()},
        annotations={name: _published(entry) for name, entry in manifest["annotations"].items()},
    )


def _archive(entry: Mapping[str, Any]) -> Archive:
    return Archive(entry["url"], File(**entry["file"]) if entry["file"] else None)


def _published(entry: Mapping[str, Any]) -> Published:
    return Published(entry["url"], File(**entry["file"]))
