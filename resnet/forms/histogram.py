"""Counts of numbers in bins of equal width, and their mean: what monitoring keeps of each form.

The mean is an exact sum, so that every machine writes the same bits into the profile.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from resnet.errors import PipelineError


@dataclass(frozen=True)
class Bins:
    """The bins of a histogram: `count` of them from 0 on, each `width` wide."""

    width: float
    count: int


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
