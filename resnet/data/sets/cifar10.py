"""Read a data set in CIFAR-10's form: seven verified files in, images and labels out."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resnet.data.datasets import Dataset
from resnet.data.sets import cifar_pickle_reader
from resnet.errors import PipelineError

PART = 5000  # images that are turned from channels first to channels last at a time
ADVICE = "run 'resnet fetch' again"


@dataclass(frozen=True)
class StoredImages:
    """Batches as stored: rows_np (N, 3072) uint8, red, green, blue planes; labels_n (N,)."""

    rows_np: NDArray[np.uint8]
    labels_n: NDArray[np.uint8]
    shape: tuple[int, ...]  # of an image

    def samples(self, indices: NDArray[np.intp]) -> Iterator[NDArray[np.uint8]]:
        """Those images, (n, 32, 32, 3) at a time: all at once would take twice the memory."""
        height, width, channels = self.shape
        for start in range(0, len(indices), PART):
            rows_np = self.rows_np[indices[start : start + PART]]
            yield rows_np.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)


def read(raw: Path, dataset: Dataset) -> tuple[StoredImages, StoredImages]:
    """The training and the test images. Raises PipelineError if a file has another form."""
    _check_meta(raw / "batches.meta", dataset)
    training = _read(raw, dataset.training_batches, dataset)
    return training, _read(raw, ["test_batch"], dataset)


def _check_meta(path: Path, dataset: Dataset) -> None:
    meta = cifar_pickle_reader.load(path)
    names = [name.decode("latin-1") for name in meta.get(b"label_names", [])]
    if names != list(dataset.classes):
        raise PipelineError(
            f"{path} names the classes {', '.join(names)}, the manifest of {dataset.name} "
            f"{', '.join(dataset.classes)}: {ADVICE}"
        )


def _read(raw: Path, names: list[str], dataset: Dataset) -> StoredImages:
    """The batches one after the other. Raises PipelineError if one has another form."""
    images, classes = dataset.images_per_batch, len(dataset.classes)
    assert images is not None  # noqa: S101  (a manifest of this form has it)
    stored = StoredImages(
        np.empty((images * len(names), math.prod(dataset.shape)), np.uint8),
        np.empty(images * len(names), np.uint8),
        dataset.shape,
    )
    for start, name in zip(range(0, len(stored.labels_n), images), names, strict=True):
        rows_np, labels = _read_batch(raw / name, images, dataset)
        stored.rows_np[start : start + images] = rows_np
        stored.labels_n[start : start + images] = labels
    counts = np.bincount(stored.labels_n, minlength=classes)
    if len(set(counts.tolist())) != 1:
        raise PipelineError(
            f"{raw}: {', '.join(names)} hold {counts.tolist()} images of the {classes} classes, "
            f"want the same number of each: {ADVICE}"
        )
    return stored


def _read_batch(path: Path, images: int, dataset: Dataset) -> tuple[NDArray[np.uint8], list[int]]:
    """One file's images, (images, 3072), and labels, each from 0 to classes - 1."""
    pixels, classes = math.prod(dataset.shape), len(dataset.classes)
    values = cifar_pickle_reader.load(path)
    if missing := {b"data", b"labels"} - values.keys():
        raise PipelineError(f"{path} has no {sorted(missing)}: {ADVICE}")
    rows_np, labels = values[b"data"], values[b"labels"]
    if not isinstance(rows_np, np.ndarray) or rows_np.shape != (images, pixels):
        form = getattr(rows_np, "shape", type(rows_np).__name__)
        raise PipelineError(f"{path}: data is {form}, want ({images}, {pixels}): {ADVICE}")
    if not isinstance(labels, list) or len(labels) != images:
        raise PipelineError(f"{path}: labels are not a list of {images}: {ADVICE}")
    wrong = [one for one in labels if not isinstance(one, int) or not 0 <= one < classes]
    if wrong:
        raise PipelineError(f"{path}: label {wrong[0]!r}, want 0 to {classes - 1}: {ADVICE}")
    return rows_np, labels
