"""Pad, crop and mirror: random draws, and a batch of images with its draws → a batch of images.

Nothing random happens in `augment`, so the same draws give the same pixels on every backend. He et
al. 2015, section 4.2: 4 pixels are padded on each side, and a 32 × 32 crop is sampled from the
padded image or its horizontal flip.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

from resnet.forms.data_spec import DataSpec
from resnet.forms.draws import generator
from resnet.params import Augment

CROP, FLIP = 1, 2  # independent streams of one seed
DTYPES: tuple[type[np.generic], ...] = (np.int32, np.int32, np.bool_)


def draw(
    seed: int,
    epoch: int,
    batches: range,
    index_kb: npt.NDArray[np.int32],
    images: int,
    config: Augment,
) -> tuple[npt.NDArray[Any], ...]:
    """The crop's first row and its first column in the padded image, 0 to 2 × pad, and whether the
    image is mirrored; each is (K, B).

    With alternating flips an image that is mirrored in one epoch is not in the next, so that two
    epochs show both of its sides (Jordan 2024, section 3.6).
    """
    batch = index_kb.shape[1]
    top, left = np.zeros((2, *index_kb.shape), np.int32)
    flip = np.zeros(index_kb.shape, np.bool_)
    for row, number in enumerate(batches):
        random = generator(seed, CROP, epoch, number)
        corners = random.integers(0, 2 * config.pad, (2, batch), np.int32, endpoint=True)
        top[row], left[row] = corners
        if config.flip == "random":
            flip[row] = random.integers(0, 2, batch, np.int32)
    if config.flip == "alternating":
        first_n = generator(seed, FLIP, 0, 0).integers(0, 2, images, np.int32)
        flip = (first_n[index_kb] + epoch) % 2 == 1
    return top, left, flip


def augment(images_nhwc: Any, drawn: Any, config: Augment, data: DataSpec) -> Any:
    """Images uint8 (N, H, W, C) → images of the same shape and dtype.

    `drawn` are a batch's rows of the arrays of `draw`. Padding with the mean uses the integers
    nearest to `data.mean`, and so is zero after normalisation up to 0.01 deviations.
    """
    if not config.pad and config.flip == "none":
        return images_nhwc
    top_n, left_n, flip_n = drawn
    (height, width), pad = images_nhwc.shape[1:3], config.pad
    rows = ops.arange(height, dtype="int32")[None, :]
    columns = ops.arange(width, dtype="int32")[None, :]
    rows_ns = top_n[:, None] - pad + rows
    columns_ns = left_n[:, None] - pad + ops.where(flip_n[:, None], width - 1 - columns, columns)

    # Pixel (row, column) of image n has the index (n × H + row) × W + column in the batch.
    first_n = ops.arange(ops.shape(top_n)[0], dtype="int32") * (height * width)
    index = (
        first_n[:, None, None]
        + _reflected(rows_ns, height)[:, :, None] * width
        + _reflected(columns_ns, width)[:, None, :]
    )
    pixels = ops.take(ops.reshape(images_nhwc, (-1, images_nhwc.shape[-1])), index, axis=0)
    if config.fill == "reflect" or not pad:
        return pixels
    inside = _inside(rows_ns, height)[:, :, None] & _inside(columns_ns, width)[:, None, :]
    return ops.where(inside[..., None], pixels, np.round(data.mean).astype(np.uint8))


def _reflected(index: Any, side: int) -> Any:
    """Reflection at the edge pixels: -1, -2, … → 1, 2, …, and likewise beyond the last pixel."""
    last = side - 1
    return last - ops.abs(last - ops.abs(index))


def _inside(index: Any, side: int) -> Any:
    return (index >= 0) & (index < side)
