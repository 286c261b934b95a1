"""Where the raw files come from: an archive or folder of the user's, or the official address.

In this order: the environment variable CIFAR10_ARCHIVE, `paths.archive` of params.yaml, the
official address. One that the user has named is never passed over: if it is wrong, that is an
error.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from resnet import params
from resnet.data import datasets
from resnet.data.datasets import Dataset
from resnet.errors import PipelineError

VARIABLE = "CIFAR10_ARCHIVE"


@dataclass(frozen=True)
class Named:
    """An archive or a folder that the user has named, and how the user named it."""

    path: Path
    by: str

    @property
    def origin(self) -> str:
        return f"{self.path} ({self.by})"


def named(paths: params.Paths) -> Named | None:
    """The user's archive or folder. Raises PipelineError where nothing is at the place named."""
    if value := os.environ.get(VARIABLE):
        source = Named(Path(value).expanduser(), VARIABLE)
    elif paths.archive is not None:
        source = Named(paths.archive.expanduser(), "paths.archive in params.yaml")
    else:
        return None
    if not (source.path.is_file() or source.path.is_dir()):
        raise PipelineError(
            f"{source.origin} is not there: want a .tar.gz of CIFAR-10 or a folder with its files; "
            "name another one, or none to download it"
        )
    return source


def batches(source: Named, dataset: Dataset) -> Path:
    """The folder with the batches: the folder that the user has named, or one in it."""
    for folder in (source.path, source.path / dataset.folder):
        if any((folder / name).exists() for name in dataset.files):
            return folder
    raise PipelineError(
        f"{source.origin} is a folder without {', '.join(dataset.files)}: name the folder "
        f"{dataset.folder} or the one it lies in"
    )


def why_not(data: params.Data, paths: params.Paths) -> str | None:
    """Why the data set cannot be had here and now; None where it can (as far as can be seen).

    Takes a few seconds, three quarters of a minute where the network says nothing. A source that
    the user has named counts as there, whatever it holds: fetch says what is wrong with it.
    """
    return missing(datasets.load(data.dataset), paths)


def missing(dataset: Dataset, paths: params.Paths) -> str | None:
    """`why_not` of a data set."""
    if dataset.archive is None or os.environ.get(VARIABLE) or paths.archive is not None:
        return None
    if dataset.holds(paths.raw):
        return None
    from resnet.data import download  # it needs packages that nobody else does

    silence = download.silence(dataset.archive.url)
    return silence and f"{silence}, and {VARIABLE} names no archive or folder"
