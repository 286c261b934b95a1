"""Histograms with bins of equal width, and means: what monitoring stores of every form of sample.

The mean is computed from an exact sum, so that every machine writes the same bits into the profile.
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
    """The bins of a histogram: `count` bins of equal `width`, starting at 0."""

    width: float
    count: int


@dataclass(frozen=True)
class Feature:
    """A number that each sample of a form has."""

    label: str  # what it is, with its unit
    bins: Bins  # of its histogram


@dataclass(frozen=True)
class Histogram:
    """How many numbers lie in each bin, starting at 0, and the mean of the numbers themselves.

    A bin includes its lower edge and excludes its upper one; the last bin includes both.
    """

    mean: float
    width: float
    counts: tuple[int, ...]

    @classmethod
    def of(cls, numbers_n: NDArray[Any], bins: Bins) -> Self:
        """The histogram of at least one number, each from 0 to the end of the last bin."""
        end = bins.width * bins.count
        counts, _ = np.histogram(numbers_n, bins.count, (0, end))
        mean = math.fsum(numbers_n.tolist()) / len(numbers_n)
        return cls(mean, bins.width, tuple(counts.tolist()))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From `as_dict`'s result. Raises KeyError, TypeError or ValueError for anything else."""
        counts = tuple(map(int, values["counts"]))
        return cls(float(values["mean"]), float(values["width"]), counts)

    @classmethod
    def pooled(cls, parts: Iterable[Self]) -> Self:
        """The histogram of the numbers of all `parts`, at least one of which is not empty.

        Raises PipelineError where their bins differ.
        """
        parts = list(parts)
        distinct = list(dict.fromkeys(part.bins for part in parts))
        if len(distinct) > 1:
            kinds = " and ".join(f"{bins.count} of {bins.width:g}" for bins in distinct)
            raise PipelineError(
                f"histograms have different bins, {kinds}: they were made by different releases; "
                "combine only those of one release"
            )
        counts = np.sum([part.counts for part in parts], axis=0)
        mean = math.fsum(part.mean * part.size for part in parts) / int(counts.sum())
        return cls(mean, parts[0].width, tuple(counts.tolist()))

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types only."""
        return {**asdict(self), "counts": list(self.counts)}

    @property
    def bins(self) -> Bins:
        return Bins(self.width, len(self.counts))

    @property
    def size(self) -> int:
        """How many numbers were counted."""
        return sum(self.counts)
