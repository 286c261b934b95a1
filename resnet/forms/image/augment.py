"""Pad, crop and mirror: a batch of images and its draws → a batch of images.

Nothing random happens here (see the module `draws`), so the same draws give the same pixels on
every backend. He et al. 2015, section 4.2: 4 pixels are padded on each side, and a 32 × 32 crop is
sampled from the padded image or its horizontal flip.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from resnet.params import Augment


def augment(
    images_nhwc: Any, top_n: Any, left_n: Any, flip_n: Any, config: Augment, mean: Sequence[float]
) -> Any:
    """Images uint8 (N, S, S, 3) → images of the same shape and dtype.

    `top_n` and `left_n` are the crop's corner in the padded image, 0 to 2 × pad; `flip_n` is true
    where the image is mirrored. Padding with the mean uses the integers nearest to `mean`, three
    floats in units of 0..255, and so is zero after normalisation up to 0.01 deviations.
    """
    if not config.pad and config.flip == "none":
        return images_nhwc
    side, pad = images_nhwc.shape[1], config.pad
    offset = ops.arange(side, dtype="int32")[None, :]
    rows_ns = top_n[:, None] - pad + offset
    columns_ns = left_n[:, None] - pad + ops.where(flip_n[:, None], side - 1 - offset, offset)

    # Pixel (row, column) of image n has the index n × S² + row × S + column in the batch.
    first_n = ops.arange(ops.shape(top_n)[0], dtype="int32") * side**2
    index = (
        first_n[:, None, None]
        + _reflected(rows_ns, side)[:, :, None] * side
        + _reflected(columns_ns, side)[:, None, :]
    )
    pixels = ops.take(ops.reshape(images_nhwc, (-1, images_nhwc.shape[-1])), index, axis=0)
    if config.fill == "reflect" or not pad:
        return pixels
    inside = _inside(rows_ns, side)[:, :, None] & _inside(columns_ns, side)[:, None, :]
    return ops.where(inside[..., None], pixels, np.round(mean).astype(np.uint8))


def _reflected(index: Any, side: int) -> Any:
    """Reflection at the edge pixels: -1, -2, … → 1, 2, …, and likewise beyond the last pixel."""
    last = side - 1
    return last - ops.abs(last - ops.abs(index))


def _inside(index: Any, side: int) -> Any:
    return (index >= 0) & (index < side)
