"""Shift recordings in time: random draws, and a batch of recordings with its draws → a batch.

`train.augment.pad` is the greatest shift, in hundredths of a second, to either side. What moves in
is silence.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

from resnet.forms.data_spec import DataSpec
from resnet.forms.draws import generator
from resnet.forms.wave.sound import RATE, SILENCE
from resnet.params import Augment

SHIFT = 1  # a stream of the seed, independent of the order's
STEP = RATE // 100  # samples in a hundredth of a second
DTYPES: tuple[type[np.generic], ...] = (np.int32,)


def draw(
    seed: int,
    epoch: int,
    batches: range,
    index_kb: npt.NDArray[np.int32],
    recordings: int,
    config: Augment,
) -> tuple[npt.NDArray[Any], ...]:
    """By how many samples each recording is delayed, from -pad to pad hundredths of a second."""
    most, shift_kb = config.pad * STEP, np.zeros(index_kb.shape, np.int32)
    for row, number in enumerate(batches):
        random = generator(seed, SHIFT, epoch, number)
        shift_kb[row] = random.integers(-most, most, index_kb.shape[1], np.int32, endpoint=True)
    return (shift_kb,)


def augment(samples: Any, drawn: Any, config: Augment, data: DataSpec) -> Any:
    """Recordings uint8 (N, T, 2) → recordings of the same shape and dtype."""
    if not config.pad:
        return samples
    (shift_n,) = drawn
    length = samples.shape[1]
    source = ops.arange(length, dtype="int32")[None, :] - shift_n[:, None]
    first_n = ops.arange(ops.shape(shift_n)[0], dtype="int32") * length
    index = first_n[:, None] + ops.clip(source, 0, length - 1)
    moved = ops.take(ops.reshape(samples, (-1, samples.shape[-1])), index, axis=0)
    inside = (source >= 0) & (source < length)
    return ops.where(inside[..., None], moved, np.array(SILENCE, np.uint8))
