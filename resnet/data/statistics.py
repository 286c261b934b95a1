"""How bright images are and how much contrast they have: uint8 images in, numbers and counts out.

All sums are exact, so that every machine writes the same bits into the profile.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from resnet.errors import PipelineError

LUMA = (299, 587, 114)  # thousandths of red, green and blue (ITU-R BT.601)
PART = 1000  # images at a time: some 25 MB


@dataclass(frozen=True)
class Bins:
    """The bins of a histogram: `count` of them from 0 on, each `width` wide."""

    width: float
    count: int


BRIGHTNESS = Bins(8, 32)  # 0 to 256
CONTRAST = Bins(4, 32)  # 0 to 128: half of the pixels black and half of them white has 127.5


@dataclass(frozen=True)
class Histogram:
    """How many of some numbers lie in each bin from 0 on, and the mean of the numbers themselves.

    A bin has its lower edge and not its upper one, but for the last, which has both.
    """

    mean: float
    width: float
    counts: tuple[int, ...]

    @classmethod
    def of(cls, numbers_n: NDArray[Any], bins: Bins) -> Self:
        """Of at least one number, each from 0 to the end of the last bin."""
        end = bins.width * bins.count
        counts, _ = np.histogram(numbers_n, bins.count, (0, end))
        mean = math.fsum(numbers_n.tolist()) / len(numbers_n)
        return cls(mean, bins.width, tuple(counts.tolist()))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From what `as_dict` gave. Raises KeyError, TypeError or ValueError where it is not."""
        counts = tuple(map(int, values["counts"]))
        return cls(float(values["mean"]), float(values["width"]), counts)

    @classmethod
    def pooled(cls, parts: Iterable[Self]) -> Self:
        """Of the numbers of all `parts`, which are not all empty.

        Raises PipelineError where they were counted in other bins.
        """
        parts = list(parts)
        if len(found := {part.bins: None for part in parts}) > 1:
            kinds = " and ".join(f"{one.count} of {one.width:g}" for one in found)
            raise PipelineError(
                f"numbers were counted in other bins, {kinds}: they are from different releases; "
                "take those of one release together"
            )
        counts = np.sum([part.counts for part in parts], axis=0)
        mean = math.fsum(part.mean * part.size for part in parts) / int(counts.sum())
        return cls(mean, parts[0].width, tuple(counts.tolist()))

    def as_dict(self) -> dict[str, Any]:
        """Of JSON's types alone."""
        return {**asdict(self), "counts": list(self.counts)}

    @property
    def bins(self) -> Bins:
        return Bins(self.width, len(self.counts))

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return sum(self.counts)


def describe(images_nhwc: NDArray[np.uint8]) -> dict[str, Histogram]:
    """The brightness and the contrast of at least one image."""
    brightness_n, contrast_n = brightness_and_contrast(images_nhwc)
    return {
        "brightness": Histogram.of(brightness_n, BRIGHTNESS),
        "contrast": Histogram.of(contrast_n, CONTRAST),
    }


def brightness_and_contrast(
    images_nhwc: NDArray[np.uint8],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean of each image's luma, 0 to 255, and its standard deviation (RMS contrast).

    images_nhwc: (N, H, W, 3), red, green, blue. Both results are (N,).
    """
    starts = range(0, len(images_nhwc), PART)
    parts = [_moments(images_nhwc[start : start + PART]) for start in starts]
    sums_n, squares_n = (np.concatenate(found) for found in zip(*parts, strict=True))
    pixels = math.prod(images_nhwc.shape[1:3])
    variance_n = (pixels * squares_n - sums_n**2) / pixels**2  # the numerator is exact
    return sums_n / (1000 * pixels), np.sqrt(variance_n) / 1000


def _moments(images_nhwc: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The sum of each image's luma, in thousandths, and of its square."""
    red, green, blue = (images_nhwc[..., k].astype(np.int64) * LUMA[k] for k in range(3))
    luma = red + green + blue
    return luma.sum(axis=(1, 2)), (luma * luma).sum(axis=(1, 2))
