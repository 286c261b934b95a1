"""Pad, crop and mirror: a batch of images and its draws → a batch of images.

Nothing is drawn here (see `draws` beside it), so the same draws give the same pixels on every
backend. He et al. 2015, section 4.2: 4 pixels are padded on each side, and a 32 × 32 crop is
sampled from the padded image or its horizontal flip.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from resnet.params import Augment


def augment(
    images_nhwc: Any, top_n: Any, left_n: Any, flip_n: Any, how: Augment, mean: Sequence[float]
) -> Any:
    """Images uint8 (N, S, S, 3) → images of the same form.

    `top_n` and `left_n` place the crop's corner in the padded image, 0 to 2 × pad; `flip_n` is
    true where it is mirrored. Padding with the mean uses the nearest grey levels to `mean`, three
    floats in units of 0..255, and so is zero after normalisation but for 0.01 deviations.
    """
    if not how.pad and how.flip == "none":
        return images_nhwc
    side = images_nhwc.shape[1]
    ahead = ops.arange(side, dtype="int32")[None, :]
    rows_ns = top_n[:, None] - how.pad + ahead
    columns_ns = left_n[:, None] - how.pad + ops.where(flip_n[:, None], side - 1 - ahead, ahead)

    # Pixel (row, column) of image n stands at n × S² + row × S + column of the batch's pixels.
    first_n = ops.arange(ops.shape(top_n)[0], dtype="int32") * side**2
    place = (
        first_n[:, None, None]
        + _mirrored(rows_ns, side)[:, :, None] * side
        + _mirrored(columns_ns, side)[:, None, :]
    )
    pixels = ops.take(ops.reshape(images_nhwc, (-1, images_nhwc.shape[-1])), place, axis=0)
    if how.fill == "reflect" or not how.pad:
        return pixels
    inside = _inside(rows_ns, side)[:, :, None] & _inside(columns_ns, side)[:, None, :]
    return ops.where(inside[..., None], pixels, np.round(mean).astype(np.uint8))


def _mirrored(index: Any, side: int) -> Any:
    """-1, -2, … are 1, 2, …; beyond the last pixel likewise: reflection at the edge pixels."""
    last = side - 1
    return last - ops.abs(last - ops.abs(index))


def _inside(index: Any, side: int) -> Any:
    return (index >= 0) & (index < side)
