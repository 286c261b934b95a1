"""Paint the synthetic data set: ten classes of shapes in CIFAR-10's own file format.

nothing → seven files whose bytes are the same on every machine. Only integers are used, and
NumPy's RandomState, whose streams are frozen, so the manifest's hashes hold wherever it is painted.

Each image is one shape of any place, size and colour on a background of any colour, light on dark
or dark on light, under noise. A class's mean image is therefore nearly flat: a linear model learns
next to nothing, a convolutional network nearly everything.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from resnet.data.datasets import Dataset
from resnet.data.sets import cifar_pickle_writer

Ints: TypeAlias = NDArray[np.int32]
Mask: TypeAlias = NDArray[np.bool_]
Images: TypeAlias = NDArray[np.uint8]

SIDE, CHANNELS = 32, 3  # of an image, as CIFAR-10's
SEED = 2015
RADIUS = (8, 13)  # pixels; from, to (not included)
CONTRAST = (40, 91)  # of 255, between shape and background, in each channel
NOISE = 24  # of 255: each value is shifted by up to this much


def _box(x: Ints, y: Ints) -> Ints:
    """The distance from the centre by which squares are circles (Chebyshev's)."""
    return np.maximum(abs(x), abs(y))


def _round(x: Ints, y: Ints, r: Ints) -> Mask:
    return x * x + y * y <= r * r


def _square(x: Ints, y: Ints, r: Ints) -> Mask:
    return 8 * _box(x, y) <= 7 * r


def _bar(across: Ints, r: Ints) -> Mask:
    """Bars and gaps, each r / 3 wide, in the direction `across`."""
    odd: Mask = 3 * (across + 2 * r) // r % 2 != 0
    return ~odd


# Each shape: offsets x, y from its centre and its radius r, all in half pixels → where it is.
SHAPES: dict[str, Callable[[Ints, Ints, Ints], Mask]] = {
    "disc": _round,
    "ring": lambda x, y, r: _round(x, y, r) & ~_round(x, y, 5 * r // 8),
    "square": _square,
    "frame": lambda x, y, r: _square(x, y, r) & (2 * _box(x, y) > r),
    "plus": lambda x, y, r: (_box(x, y) <= r) & (4 * np.minimum(abs(x), abs(y)) <= r),
    "cross": lambda x, y, r: (_box(x, y) <= r) & (3 * abs(abs(x) - abs(y)) <= r),
    "triangle": lambda x, y, r: (abs(y) <= r) & (2 * abs(x) <= y + r),
    "bars": lambda x, y, r: _square(x, y, r) & _bar(y, r),
    "stripes": lambda x, y, r: _square(x, y, r) & _bar(x, r),
    "checks": lambda x, y, r: _square(x, y, r) & (_bar(x, r) ^ _bar(y, r)),
}


def generate(folder: Path, dataset: Dataset) -> None:
    """Write the seven files into the folder `folder`, which exists."""
    # The manifest belongs to this module.
    assert dataset.classes == tuple(SHAPES)  # noqa: S101
    assert dataset.shape == (SIDE, SIDE, CHANNELS)  # noqa: S101
    assert dataset.images_per_batch is not None  # noqa: S101
    for number, name in enumerate([*dataset.training_batches, "test_batch"]):
        (folder / name).write_bytes(_batch(name, number, dataset.images_per_batch))
    meta = cifar_pickle_writer.dumps(
        {
            b"num_cases_per_batch": dataset.images_per_batch,
            b"label_names": [name.encode() for name in dataset.classes],
            b"num_vis": math.prod(dataset.shape),
        }
    )
    (folder / "batches.meta").write_bytes(meta)


def _batch(name: str, number: int, images: int) -> bytes:
    """The file of batch `number`: as many images of each class, in random order."""
    random = np.random.RandomState(SEED + number)
    labels_n = random.permutation(np.arange(images, dtype=np.int32) % len(SHAPES))
    names = list(SHAPES)
    return cifar_pickle_writer.dumps(
        {
            b"batch_label": name.encode(),
            b"labels": labels_n.tolist(),
            b"data": paint(labels_n, random).reshape(images, -1),
            b"filenames": [
                f"{names[label]}_s_{number}{index:05d}.png".encode()
                for index, label in enumerate(labels_n)
            ],
        }
    )


def paint(labels_n: Ints, random: np.random.RandomState) -> Images:
    """One image per label, (N, 3, 32, 32) uint8: channels first, as CIFAR-10 is stored."""

    def integers(low: int, high: int, *shape: int) -> Ints:
        return random.randint(low, high, (len(labels_n), *shape), dtype=np.int32)

    radius = 2 * integers(*RADIUS, 1, 1)
    centre = [SIDE + integers(-12, 13, 1, 1) for _ in "xy"]  # half pixels; shapes may stick out
    axis = 2 * np.arange(SIDE, dtype=np.int32) + 1
    x, y = axis[None, None, :] - centre[0], axis[None, :, None] - centre[1]
    mask = np.zeros((len(labels_n), SIDE, SIDE), bool)
    for label, shape in enumerate(SHAPES.values()):
        of_class = labels_n == label
        mask[of_class] = shape(x[of_class], y[of_class], radius[of_class])

    # Both colours are equally far from a mean that does not depend on the class, on either side.
    mean = integers(70, 186, CHANNELS, 1, 1)
    contrast = integers(*CONTRAST, CHANNELS, 1, 1) * (2 * integers(0, 2, 1, 1, 1) - 1)
    noise = integers(-NOISE, NOISE + 1, CHANNELS, SIDE, SIDE)
    side = np.where(mask[:, None], 1, -1).astype(np.int32)
    images: Images = np.clip(mean + side * contrast // 2 + noise, 0, 255).astype(np.uint8)
    return images
