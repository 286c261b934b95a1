"""Statistics of recordings: their level and their length; uint8 recordings in, numbers out."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from resnet.forms.histogram import Bins, Feature
from resnet.forms.wave.sound import RATE, to_integers

LOUDEST = 96.0  # dB, of full scale above the least level that 16 bits can hold
LONGEST = 10.0  # s
PART = 1000  # recordings at a time: about 32 MB each

FEATURES: Mapping[str, Feature] = {
    "level": Feature("root mean square in dB, 96 at full scale", Bins(3, 32)),
    "length": Feature("seconds to the last sound", Bins(0.05, 200)),
}


def features(samples: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """The level and the length of recordings (N, T, 2), each (N,).

    The level is that of the sound without the silence after it. Sums are exact, and decibels are
    rounded to a hundredth, so that every machine writes the same numbers into the profile.
    """
    starts = range(0, len(samples), PART)
    parts = [_level_and_length(samples[start : start + PART]) for start in starts]
    level_n, length_n = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return {"level": level_n, "length": length_n}


def channel_moments(samples: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """None: a network standardises each recording by itself."""
    return [], []


def _level_and_length(
    samples: NDArray[np.uint8],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sound = to_integers(samples).astype(np.int64)
    present = sound != 0
    count_n = np.where(present.any(axis=1), sound.shape[1] - present[:, ::-1].argmax(axis=1), 0)
    mean_n = (sound * sound).sum(axis=1) / count_n.clip(min=1)
    level_n = np.round(LOUDEST + 10 * np.log10(mean_n.clip(min=1e-9) / 2.0**30), 2)
    return level_n.clip(0, LOUDEST), (count_n / RATE).clip(max=LONGEST)
