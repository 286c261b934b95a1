"""Samples added by a user: a folder with one folder per class, or an .npz file → arrays."""

import math
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from resnet.data.datasets import Dataset
from resnet.errors import PipelineError
from resnet.forms import files, names, sample_files
from resnet.system import npy

ARRAYS = ".npz"
MAX_BYTES = 921_600_000  # of the samples in one .npz file: six times CIFAR-10's

Labelled: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Samples (N, …) and their labels (N,)."""


def read(path: Path, dataset: Dataset) -> Labelled:
    """The samples and labels at `path`, of the form, shape and classes of `dataset`.

    Raises PipelineError where their format is wrong.
    """
    if path.suffix == ARRAYS:
        return _from_arrays(path, dataset)
    module = files.of(dataset.form)
    found = _in_classes(path, dataset)
    entries = ((path / name, path / name, _decoder(module, dataset.shape)) for name in found)
    labels = [dataset.classes.index(_folder(name)) for name in found]
    samples = sample_files.read(entries, names.ONE[dataset.form], dataset.shape)
    return samples, np.array(labels, np.uint8)


def _decoder(module: files.Files, shape: Sequence[int]) -> sample_files.Reader:
    return lambda file: module.decode(file, shape)


def check(path: Path, dataset: Dataset) -> None:
    """Raise PipelineError where `read` would, as far as names, folders and headers show it."""
    if path.suffix == ARRAYS:
        with _open(path, dataset) as stored:
            _require_form(path, stored, dataset)
    else:
        _in_classes(path, dataset)


def name(path: Path, index: int, dataset: Dataset) -> str:
    """How an error names sample number `index` of those at `path`."""
    if path.suffix == ARRAYS:
        return f"number {index}"
    return _listing(path, dataset).samples[index]


def _listing(path: Path, dataset: Dataset) -> sample_files.Listing:
    """DVC follows no links."""
    return sample_files.listing(path, files.of(dataset.form).SUFFIXES, follow_links=False)


def _in_classes(path: Path, dataset: Dataset) -> Sequence[str]:
    """The samples in the folders of the classes; raises PipelineError if anything else is there."""
    listing, noun = _listing(path, dataset), names.NOUNS[dataset.form]
    if listing.others:
        raise PipelineError(
            f"{path}: {len(listing.others)} of its {len(listing.samples) + len(listing.others)} "
            f"files are not {noun} that can be read, the first is {listing.others[0]}: want names "
            f"that end in {', '.join(sorted(files.of(dataset.form).SUFFIXES))}; convert these "
            "files, or remove them"
        )
    for name in listing.samples:
        if _folder(name) not in dataset.classes:
            raise PipelineError(
                f"{path / name} is not in the folder of a class: want {path}/CLASS/…, the classes "
                f"are {', '.join(dataset.classes)}"
            )
    return listing.samples


def _folder(name: str) -> str:
    return name.partition("/")[0]


def _from_arrays(path: Path, dataset: Dataset) -> Labelled:
    """The samples and labels of an .npz file, read when their headers are as they should."""
    noun, classes = names.NOUNS[dataset.form], len(dataset.classes)
    with _open(path, dataset) as stored:
        _require_form(path, stored, dataset)
        samples, labels_n = npy.read(stored, noun), npy.read(stored, "labels")
    wrong = labels_n[(labels_n < 0) | (labels_n >= classes)]
    if len(wrong):
        raise PipelineError(f"{path}: label {wrong[0]}, want 0 to {classes - 1}")
    # In C order: a sample's fingerprint is computed from its bytes in that order.
    return np.ascontiguousarray(samples), labels_n.astype(np.uint8)


@contextmanager
def _open(path: Path, dataset: Dataset) -> Iterator[zipfile.ZipFile]:
    """An .npz file; an error that it causes in the block becomes a PipelineError."""
    try:
        with zipfile.ZipFile(path) as stored:
            yield stored
    except npy.UNREADABLE as error:
        raise PipelineError(
            f"{path} is not an .npz file with the arrays {names.NOUNS[dataset.form]} and labels "
            f"({error})"
        ) from None


def _require_form(path: Path, stored: zipfile.ZipFile, dataset: Dataset) -> None:
    """Raise PipelineError unless there are as many labels as samples, and not too many of them."""
    noun = names.NOUNS[dataset.form]
    samples, labels = npy.declared(stored, noun), npy.declared(stored, "labels")
    if samples.dtype != np.uint8 or samples.shape[1:] != dataset.shape:
        raise PipelineError(
            f"{path}: {noun} are {samples.dtype} of shape {samples.shape}, want "
            f"{names.array(dataset.shape)}"
        )
    if labels.dtype.kind not in "iu" or labels.shape != samples.shape[:1]:
        raise PipelineError(
            f"{path}: labels are {labels.dtype} of shape {labels.shape}, want integers "
            f"({samples.shape[0]},)"
        )
    most = MAX_BYTES // math.prod(dataset.shape)
    if samples.shape[0] > most:
        raise PipelineError(
            f"{path} holds {samples.shape[0]:,} {noun}, at most {most:,} are read from one "
            "file: split it into several batches"
        )
