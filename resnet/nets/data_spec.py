"""What a network must know of the data that it is for."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class DataSpec:
    """Of the training samples, as their profile tells."""

    mean: Sequence[float]  # of each channel, in units of 0..255
    deviation: Sequence[float]
    classes: int
