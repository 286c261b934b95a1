"""Images added by a user: a folder with one folder per class, or an .npz file → arrays."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from resnet.errors import PipelineError
from resnet.forms.image import image_files
from resnet.forms.image.shape import IMAGE
from resnet.system import npy
from resnet.system.npy import Declared

ARRAYS = ".npz"
MAX_IMAGES = 300_000  # in one .npz file: 0.9 GB, six times CIFAR-10's

Labelled: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images (N, 32, 32, 3) and their labels (N,)."""


def read(path: Path, classes: Sequence[str]) -> Labelled:
    """The images and labels at `path`. Raises PipelineError where their format is wrong."""
    if path.suffix == ARRAYS:
        return _from_arrays(path, len(classes))
    return _from_folders(path, classes)


def name(path: Path, index: int) -> str:
    """How an error names image number `index` of those at `path`."""
    return f"number {index}" if path.suffix == ARRAYS else list(image_files.listed(path))[index]


def _from_folders(path: Path, classes: Sequence[str]) -> Labelled:
    """Images in folders named after their classes; every visible file must be an image."""
    files = image_files.visible(path)
    if others := [name for name, file in files.items() if not image_files.is_image(file)]:
        raise PipelineError(
            f"{path}: {len(others)} of its {len(files)} files are not images that can be read, the "
            f"first is {others[0]}: want names that end in "
            f"{', '.join(sorted(image_files.SUFFIXES))}; convert these files, or remove them"
        )
    folders = [name.partition("/")[0] for name in files]
    for name, folder in zip(files, folders, strict=True):
        if folder not in classes:
            raise PipelineError(
                f"{path / name} is not in the folder of a class: want {path}/CLASS/…, the classes "
                f"are {', '.join(classes)}"
            )
    entries = ((file, file, image_files.decode) for file in files.values())
    labels = [classes.index(folder) for folder in folders]
    return image_files.read(entries), np.array(labels, np.uint8)


def _from_arrays(path: Path, classes: int) -> Labelled:
    """The arrays images and labels of an .npz file, read when their headers are as they should."""
    try:
        with zipfile.ZipFile(path) as stored:
            _require_form(path, npy.declared(stored, "images"), npy.declared(stored, "labels"))
            images_nhwc, labels_n = npy.read(stored, "images"), npy.read(stored, "labels")
    except npy.UNREADABLE as error:
        raise PipelineError(
            f"{path} is not an .npz file with the arrays images and labels ({error})"
        ) from None
    wrong = labels_n[(labels_n < 0) | (labels_n >= classes)]
    if len(wrong):
        raise PipelineError(f"{path}: label {wrong[0]}, want 0 to {classes - 1}")
    # In C order: an image's fingerprint is computed from its bytes in that order.
    return np.ascontiguousarray(images_nhwc), labels_n.astype(np.uint8)


def _require_form(path: Path, images: Declared, labels: Declared) -> None:
    """Raise PipelineError unless there are as many labels as images, and not too many of them."""
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
