"""The arrays that ingest leaves and every later step reads.

paths.arrays holds, for the splits train, validation and test, the samples, uint8 (N, …), in a file
that is named by what they are, say {split}_images.npy, and {split}_labels.npy, (N,) uint8.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from resnet.data.profile import Profile
from resnet.errors import PipelineError
from resnet.forms import names
from resnet.params import Paths
from resnet.system import npy

SplitName: TypeAlias = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)


@dataclass(frozen=True)
class Split:
    """Samples and their labels, in memory.

    images_nhwc: (N, …) uint8, for images (N, H, W, C). labels_n: (N,) uint8, from 0.
    """

    images_nhwc: NDArray[np.uint8]
    labels_n: NDArray[np.uint8]


def load(paths: Paths, split: SplitName) -> Split:
    """One split of paths.arrays, of the samples that paths.profile describes.

    Raises PipelineError where it is missing or damaged.
    """
    profile = Profile.read(paths.profile)
    return read(paths.arrays, split, profile.form, profile.shape)


def read(folder: Path, split: SplitName, form: names.FormName, shape: tuple[int, ...]) -> Split:
    """One split of a folder of arrays, whose samples have `form` and `shape`."""
    images_nhwc = _read(samples_file(folder, split, form))
    labels_n = _read(labels_file(folder, split))
    if images_nhwc.shape[1:] != shape or labels_n.shape != images_nhwc.shape[:1]:
        raise PipelineError(
            f"{folder}: {split} has {names.NOUNS[form]} of shape {images_nhwc.shape} and labels of "
            f"shape {labels_n.shape}, want {names.array(shape)} and (N,): run 'resnet ingest' or "
            "'dvc repro'"
        )
    return Split(images_nhwc, labels_n)


def samples_file(folder: Path, split: SplitName, form: names.FormName) -> Path:
    """Where the samples of a split are."""
    return folder / f"{split}_{names.NOUNS[form]}.npy"


def labels_file(folder: Path, split: SplitName) -> Path:
    """Where the labels of a split are."""
    return folder / f"{split}_labels.npy"


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        # Into memory: a memory-mapped file that is truncated later would kill the process (SIGBUS).
        array = npy.load(path)
    except FileNotFoundError:
        raise PipelineError(f"{path} is not there: run 'resnet ingest' or 'dvc repro'") from None
    except npy.UNREADABLE as error:
        raise PipelineError(
            f"{path} is damaged ({error}): run 'resnet ingest' or 'dvc repro'"
        ) from error
    if array.dtype != np.uint8:
        raise PipelineError(f"{path} is not a uint8 array: run 'resnet ingest' or 'dvc repro'")
    return array


def fingerprints(images_nhwc: NDArray[np.uint8]) -> list[bytes]:
    """A digest of each sample's bytes: two samples have the same one only if they are equal."""
    return [hashlib.blake2b(sample, digest_size=16).digest() for sample in images_nhwc]


def write(path: Path, shape: tuple[int, ...], parts: Iterator[NDArray[np.uint8]]) -> None:
    """An .npy file of `shape`, uint8, from the consecutive `parts` of its first axis.

    Unlike np.save it distinguishes a full disk from other errors, and unlike a memory map it is not
    killed by one (SIGBUS).
    """
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        for part in parts:
            stream.write(np.ascontiguousarray(part).data)
