"""Images added by a user: a folder with one folder per class, or an .npz file → arrays."""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from resnet.errors import PipelineError
from resnet.forms.image import image_files
from resnet.forms.image.shape import IMAGE
from resnet.system import npy

ARRAYS = ".npz"
MAX_IMAGES = 300_000  # in one .npz file: 0.9 GB, six times CIFAR-10's

Labelled: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images (N, 32, 32, 3) and their labels (N,)."""


def read(path: Path, classes: Sequence[str]) -> Labelled:
    """The images and labels at `path`. Raises PipelineError where their format is wrong."""
    if path.suffix == ARRAYS:
        return _from_arrays(path, len(classes))
    names = _in_classes(path, classes)
    entries = ((path / name, path / name, image_files.decode) for name in names)
    labels = [classes.index(_folder(name)) for name in names]
    return image_files.read(entries), np.array(labels, np.uint8)


def check(path: Path, classes: Sequence[str]) -> None:
    """Raise PipelineError where `read` would, as far as names, folders and headers show it."""
    if path.suffix == ARRAYS:
        with _open(path) as stored:
            _require_form(path, stored)
    else:
        _in_classes(path, classes)


def name(path: Path, index: int) -> str:
    """How an error names image number `index` of those at `path`."""
    if path.suffix == ARRAYS:
        return f"number {index}"
    return image_files.listing(path, follow_links=False).images[index]


def _in_classes(path: Path, classes: Sequence[str]) -> Sequence[str]:
    """The images in the folders of the classes; raises PipelineError if anything else is there."""
    listing = image_files.listing(path, follow_links=False)  # DVC follows none
    if listing.others:
        raise PipelineError(
            f"{path}: {len(listing.others)} of its {len(listing.images) + len(listing.others)} "
            f"files are not images that can be read, the first is {listing.others[0]}: want names "
            f"that end in {', '.join(sorted(image_files.SUFFIXES))}; convert these files, or "
            "remove them"
        )
    for name in listing.images:
        if _folder(name) not in classes:
            raise PipelineError(
                f"{path / name} is not in the folder of a class: want {path}/CLASS/…, the classes "
                f"are {', '.join(classes)}"
            )
    return listing.images


def _folder(name: str) -> str:
    return name.partition("/")[0]


def _from_arrays(path: Path, classes: int) -> Labelled:
    """The arrays images and labels of an .npz file, read when their headers are as they should."""
    with _open(path) as stored:
        _require_form(path, stored)
        images_nhwc, labels_n = npy.read(stored, "images"), npy.read(stored, "labels")
    wrong = labels_n[(labels_n < 0) | (labels_n >= classes)]
    if len(wrong):
        raise PipelineError(f"{path}: label {wrong[0]}, want 0 to {classes - 1}")
    # In C order: an image's fingerprint is computed from its bytes in that order.
    return np.ascontiguousarray(images_nhwc), labels_n.astype(np.uint8)


@contextmanager
def _open(path: Path) -> Iterator[zipfile.ZipFile]:
    """An .npz file; an error that it causes in the block becomes a PipelineError."""
    try:
        with zipfile.ZipFile(path) as stored:
            yield stored
    except npy.UNREADABLE as error:
        raise PipelineError(
            f"{path} is not an .npz file with the arrays images and labels ({error})"
        ) from None


def _require_form(path: Path, stored: zipfile.ZipFile) -> None:
    """Raise PipelineError unless there are as many labels as images, and not too many of them."""
    images, labels = npy.declared(stored, "images"), npy.declared(stored, "labels")
    if images.dtype != np.uint8 or images.shape[1:] != IMAGE:
        raise PipelineError(
            f"{path}: images are {images.dtype} of shape {images.shape}, want uint8 (N, 32, 32, 3)"
        )
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise PipelineError(
            f"{path}: labels are {labels.dtype} of shape {labels.shape}, want integers "
            f"({images.shape[0]},)"
        )
    if images.shape[0] > MAX_IMAGES:
        raise PipelineError(
            f"{path} holds {images.shape[0]:,} images, at most {MAX_IMAGES:,} are read from one "
            "file: split it into several batches"
        )
