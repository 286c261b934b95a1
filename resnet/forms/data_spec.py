"""What networks, engines and reports know of their data."""

from collections.abc import Sequence
from dataclasses import dataclass

from resnet.forms.names import FormName


@dataclass(frozen=True)
class DataSpec:
    """The form of the samples, and statistics of those for training, as in their profile."""

    form: FormName
    shape: tuple[int, ...]  # of a sample, its channels last
    mean: Sequence[float]  # of each channel, in units of 0..255
    deviation: Sequence[float]
    classes: int
