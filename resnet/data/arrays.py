"""The arrays that ingest leaves and every later step reads.

paths.arrays holds {split}_images.npy, (N, 32, 32, 3) uint8, and {split}_labels.npy, (N,) uint8,
for the splits train, validation and test.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from resnet.errors import PipelineError
from resnet.forms.image.shape import IMAGE
from resnet.system import npy

SplitName: TypeAlias = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)


@dataclass(frozen=True)
class Split:
    """Images and their labels, in memory.

    images_nhwc: (N, 32, 32, 3) uint8, red, green, blue. labels_n: (N,) uint8, 0 to 9.
    """

    images_nhwc: NDArray[np.uint8]
    labels_n: NDArray[np.uint8]


def load(arrays: Path, split: SplitName) -> Split:
    """One split of the folder `arrays`. Raises PipelineError where it is missing or damaged."""
    images_nhwc = _read(arrays / f"{split}_images.npy")
    labels_n = _read(arrays / f"{split}_labels.npy")
    if images_nhwc.shape[1:] != IMAGE or labels_n.shape != images_nhwc.shape[:1]:
        raise PipelineError(
            f"{arrays}: {split} has images of shape {images_nhwc.shape} and labels of shape "
            f"{labels_n.shape}, want (N, 32, 32, 3) and (N,): run 'resnet ingest' or 'dvc repro'"
        )
    return Split(images_nhwc, labels_n)


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
    """A digest of each image's bytes: two images have the same one only if they are equal."""
    return [hashlib.blake2b(image, digest_size=16).digest() for image in images_nhwc]


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
