"""Raw recordings → maps: the logarithm of a mel spectrogram, standardised in each recording.

As Tang and Lin 2018, "Deep Residual Learning for Small-Footprint Keyword Spotting", section 3.1, 40
coefficients and a frame per hundredth of a second, but of mel energies, without the cosine
transform.
"""

from typing import Any

import keras

# The public functions number their operations through the process, and the names are in the hash.
from keras.src.ops.numpy import Log, Sum

from resnet.forms.data_spec import DataSpec
from resnet.forms.wave.sound import RATE

BINS = 40  # of mel, from 20 Hz to half the rate
WINDOW, STEP = 256, RATE // 100  # samples
QUIET = 1e-6  # added to the energies, whose logarithm would have no end


def maps(samples: Any, data: DataSpec) -> Any:
    """Recordings uint8 (N, T, 2) → float32 (N, T / 80 + 1, 40, 1).

    Not decibels by Keras's MelSpectrogram: it takes their ceiling from the whole batch, so that an
    answer depended on a recording's neighbours. Each recording has mean 0 and variance 1, however
    loud it is.
    """
    layers = keras.layers
    high_and_low = layers.Rescaling(
        [256 / 32768, 1 / 32768], offset=[-1.0, 0.0], dtype="float32", name="bytes"
    )(samples)
    sound = Sum(axis=-1, name="sound")(high_and_low)
    energy = layers.MelSpectrogram(
        fft_length=WINDOW,
        sequence_stride=STEP,
        sequence_length=WINDOW,
        sampling_rate=RATE,
        num_mel_bins=BINS,
        max_freq=RATE / 2,
        power_to_db=False,
        dtype="float32",
        name="mel",
    )(sound)
    audible = layers.Rescaling(1.0, offset=QUIET, dtype="float32", name="audible")(energy)
    frames = layers.Permute((2, 1), dtype="float32", name="frames")(Log(name="log")(audible))
    standardized = layers.LayerNormalization(
        axis=[1, 2], center=False, scale=False, epsilon=1e-5, dtype="float32", name="standardize"
    )(frames)
    return layers.Reshape((*standardized.shape[1:], 1), dtype="float32", name="maps")(standardized)
