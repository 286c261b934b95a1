"""Statistics of samples: the door to the module `statistics` of each form."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from resnet.forms.histogram import Feature, Histogram
from resnet.forms.names import FormName


class Statistics(Protocol):
    """What a form's module has."""

    FEATURES: Mapping[str, Feature]
    """What is monitored of a sample, by name: the profile and the batches store it by this name."""

    def features(self, samples: npt.NDArray[np.uint8], /) -> dict[str, npt.NDArray[np.float64]]:
        """Each of `FEATURES` of samples (N, …): (N,)."""

    def channel_moments(self, samples: npt.NDArray[np.uint8], /) -> tuple[list[float], list[float]]:
        """Mean and deviation of each channel, in units of 0..255."""


def of(form: FormName) -> Statistics:
    """The module of `form`."""
    match form:
        case "image":
            from resnet.forms.image import statistics

            return statistics
        case "wave":
            from resnet.forms.wave import statistics as of_waves

            return of_waves


def histograms(form: FormName, samples: npt.NDArray[np.uint8]) -> dict[str, Histogram]:
    """The histogram of each feature of at least one sample."""
    module = of(form)
    return {
        name: Histogram.of(numbers_n, module.FEATURES[name].bins)
        for name, numbers_n in module.features(samples).items()
    }
