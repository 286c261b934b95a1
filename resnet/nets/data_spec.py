"""What a network must know about its data."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class DataSpec:
    """Statistics of the training samples, as in their profile."""

    mean: Sequence[float]  # of each channel, in units of 0..255
    deviation: Sequence[float]
    classes: int
