"""Statistics of images: channel moments, brightness, contrast; uint8 images in, numbers out.

All sums are exact, so that every machine writes the same bits into the profile.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from resnet.forms.histogram import Bins, Feature

LUMA = (299, 587, 114)  # thousandths of red, green and blue (ITU-R BT.601)
PART = 1000  # images at a time: about 25 MB

FEATURES: Mapping[str, Feature] = {
    "brightness": Feature("mean luma, 0 to 255", Bins(8, 32)),
    # An image half black and half white has 127.5.
    "contrast": Feature("standard deviation of luma", Bins(4, 32)),
}


def features(images_nhwc: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """The brightness and the contrast of images (N, H, W, C), each (N,)."""
    brightness_n, contrast_n = brightness_and_contrast(images_nhwc)
    return {"brightness": brightness_n, "contrast": contrast_n}


def brightness_and_contrast(
    images_nhwc: NDArray[np.uint8],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean of each image's luma, 0 to 255, and its standard deviation (RMS contrast).

    images_nhwc: (N, H, W, 3), red, green, blue, or (N, H, W, 1), grey. Both results are (N,).
    """
    starts = range(0, len(images_nhwc), PART)
    parts = [_luma_sums(images_nhwc[start : start + PART]) for start in starts]
    sums_n, squares_n = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    pixels = math.prod(images_nhwc.shape[1:3])
    variance_n = (pixels * squares_n - sums_n**2) / pixels**2  # the numerator is exact
    return sums_n / (1000 * pixels), np.sqrt(variance_n) / 1000


def channel_moments(images_nhwc: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel, in units of 0..255, from exact counts of values."""
    mean, deviation = [], []
    for channel in range(images_nhwc.shape[-1]):
        counts = np.zeros(256, np.int64)
        for start in range(0, len(images_nhwc), PART):
            part = images_nhwc[start : start + PART, :, :, channel]
            counts += np.bincount(part.ravel(), minlength=256)
        number, total, squares = (
            sum(int(count) * value**power for value, count in enumerate(counts))
            for power in (0, 1, 2)
        )
        mean.append(total / number)
        deviation.append(math.sqrt((number * squares - total * total) / number**2))
    return mean, deviation


def _luma_sums(images_nhwc: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The sum of each image's luma, in thousandths, and the sum of its squares."""
    weights = np.array(LUMA if images_nhwc.shape[-1] == len(LUMA) else [sum(LUMA)])
    luma = (images_nhwc * weights).sum(axis=-1)
    return luma.sum(axis=(1, 2)), (luma * luma).sum(axis=(1, 2))
