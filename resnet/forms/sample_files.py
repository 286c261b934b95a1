"""The files of samples, whatever their form: a folder → their names, files → an array."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet.errors import PipelineError

Reader = Callable[[Any], NDArray[np.uint8]]
"""A value → a sample, uint8. Raises one of `UNREADABLE`."""
# What a reader raises for a file that holds no sample, is cut off, or is too large.
UNREADABLE = (OSError, SyntaxError, ValueError, TypeError, OverflowError)


@dataclass(frozen=True)
class Listing:
    """What is in a folder and its subfolders, hidden files and folders aside: paths in it, sorted.

    A link to a file is a file; a link to nothing is among the others.
    """

    samples: list[str]  # files with a suffix of their form
    others: list[str]

    @property
    def first_other(self) -> str:
        """The number of the others and the first of them, in words."""
        files = "1 other file" if len(self.others) == 1 else f"{len(self.others):,} other files"
        return f"{files}, the first is {self.others[0]}"


def listing(folder: Path, suffixes: Collection[str], *, follow_links: bool) -> Listing:
    """The content of `folder`; samples are the files with one of `suffixes`, in small letters.

    Raises PipelineError if a folder in it cannot be read, or is a link that is not to be followed,
    or that leads round in a circle.
    """
    listing = Listing([], [])
    for path in sorted(_files(str(folder), "", follow_links, ()), key=lambda path: path.split("/")):
        is_sample = Path(path).suffix.lower() in suffixes and (folder / path).is_file()
        (listing.samples if is_sample else listing.others).append(path)
    return listing


def _files(
    folder: str, prefix: str, follow_links: bool, above: tuple[tuple[int, int], ...]
) -> Iterator[str]:
    """`prefix` and the name of all in `folder` that is no folder; the folders `above` lead to it.

    Not by Path.rglob, which passes by the folders that it may not read, and the links to folders.
    """
    try:
        status = Path(folder).stat()
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
            folders = {entry.name for entry in visible if entry.is_dir()}
    except OSError as error:
        raise PipelineError(
            f"{folder} cannot be read ({error}): change its permissions, or move it elsewhere"
        ) from None
    here = status.st_dev, status.st_ino
    if here in above:
        raise PipelineError(f"{folder} is a link to a folder that it is in itself: remove it")
    for entry in visible:
        if entry.name not in folders:
            yield prefix + entry.name
        elif entry.is_symlink() and not follow_links:
            raise PipelineError(
                f"{entry.path} is a link to a folder, which DVC leaves out: put the folder itself "
                "there"
            )
        else:
            yield from _files(entry.path, f"{prefix}{entry.name}/", follow_links, (*above, here))


def read(
    entries: Iterable[tuple[object, Any, Reader]], one: str, shape: Sequence[int]
) -> NDArray[np.uint8]:
    """Each (name, value, reader) of `entries`, read into one array (N, *shape).

    Raises PipelineError with the name of the first that cannot be read as `one`, say an image.
    """
    samples = []
    for name, value, reader in entries:
        try:
            samples.append(reader(value))
        except UNREADABLE as error:
            raise PipelineError(f"{name} is not {one} that can be read: {error}") from None
    return np.stack(samples) if samples else np.empty((0, *shape), np.uint8)
