"""Images that somebody adds: a folder with a folder for each class, or an .npz file → arrays."""

import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from resnet.errors import PipelineError
from resnet.forms.image import image_files
from resnet.forms.image.shape import IMAGE

ARRAYS = ".npz"
# What numpy raises for a file that is no .npz, or a damaged or encrypted one.
UNREADABLE = (
    *(OSError, ValueError, KeyError, EOFError, TypeError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)

Labelled: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images (N, 32, 32, 3) and their labels (N,)."""


def read(path: Path, classes: Sequence[str]) -> Labelled:
    """The images and labels at `path`. Raises PipelineError where their form is another one."""
    if path.suffix == ARRAYS:
        return _from_arrays(path, len(classes))
    return _from_folders(path, classes)


def name(path: Path, index: int) -> str:
    """How an error names image number `index` of those at `path`."""
    return f"number {index}" if path.suffix == ARRAYS else list(image_files.listed(path))[index]


def _from_folders(path: Path, classes: Sequence[str]) -> Labelled:
    """Images in folders named by their classes; every file is one, but for hidden ones."""
    found = image_files.visible(path)
    if others := [name for name, file in found.items() if not image_files.is_image(file)]:
        raise PipelineError(
            f"{path}: {len(others)} of its {len(found)} files are of a kind that is not read, the "
            f"first is {others[0]}: want names that end in "
            f"{', '.join(sorted(image_files.SUFFIXES))}; convert them, or take them away"
        )
    of = [name.partition("/")[0] for name in found]
    for name, label in zip(found, of, strict=True):
        if label not in classes:
            raise PipelineError(
                f"{path / name} is in no folder of a class: want {path}/CLASS/…, the classes are "
                f"{', '.join(classes)}"
            )
    entries = ((file, file, image_files.decode) for file in found.values())
    labels = [classes.index(label) for label in of]
    return image_files.read(entries), np.array(labels, np.uint8)


def _from_arrays(path: Path, classes: int) -> Labelled:
    """An .npz file. Its arrays may not name code."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            # A member of the zip file that is no array comes as its bytes.
            images_nhwc, labels_n = np.asarray(stored["images"]), np.asarray(stored["labels"])
    except UNREADABLE as error:
        raise PipelineError(
            f"{path} is not an .npz file with the arrays images and labels ({error})"
        ) from None
    images: Any = images_nhwc
    if images.dtype != np.uint8 or images.shape[1:] != IMAGE:
        raise PipelineError(
            f"{path}: images are {images.dtype} of shape {images.shape}, want uint8 (N, 32, 32, 3)"
        )
    if labels_n.dtype.kind not in "iu" or labels_n.shape != images.shape[:1]:
        raise PipelineError(
            f"{path}: labels are {labels_n.dtype} of shape {labels_n.shape}, want integers "
            f"({len(images)},)"
        )
    wrong = labels_n[(labels_n < 0) | (labels_n >= classes)]
    if len(wrong):
        raise PipelineError(f"{path}: label {wrong[0]}, want 0 to {classes - 1}")
    # In C's order: a fingerprint is that of an image's bytes, one after the other.
    return np.ascontiguousarray(images), labels_n.astype(np.uint8)
