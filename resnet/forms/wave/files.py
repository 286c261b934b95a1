"""Read .wav files as recordings of a model's length: a file in, uint8 (T, 2) out.

8, 16, 24 and 32-bit integers and floats, WAVE_FORMAT_EXTENSIBLE too, any number of channels and any
rate. Training and scoring both use it.
"""

import io
import math
import struct
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile
from scipy.signal import resample_poly

from resnet.forms.wave.sound import OFFSET, RATE, SILENCE, to_bytes

SUFFIXES: Collection[str] = frozenset({".wav", ".wave"})
COLUMN = "audio"
RATES = 1_000, 384_000  # Hz, from and to: others are an error in the header
MAX_BYTES = 64 << 20  # of a file: six minutes in stereo at 44,100 Hz
FULL_SCALE = {"u1": 128, "i2": 1 << 15, "i4": 1 << 31}  # by the dtype; 24 bits come in the upper 32


def decode(file: Path | io.BytesIO, shape: Sequence[int]) -> NDArray[np.uint8]:
    """A .wav file as uint8 of `shape` (T, 2): its first T samples at 8,000 Hz, then silence.

    Channels are averaged. What has 16 bits, one channel and this rate is kept to the bit. Raises
    one of `sample_files.UNREADABLE`.
    """
    size = file.stat().st_size if isinstance(file, Path) else len(file.getbuffer())
    if size > MAX_BYTES:
        raise ValueError(f"it has {size:,} bytes, at most {MAX_BYTES:,} are read: cut it")
    rate, sound = _read(file)
    if not len(sound):
        raise ValueError("it holds no sound")
    if not RATES[0] <= rate <= RATES[1]:
        raise ValueError(f"its rate is {rate} Hz, want {RATES[0]:,} to {RATES[1]:,}")
    # Not more than is kept, and what the filter of the other rate needs beyond it.
    needed = math.ceil(shape[0] * rate / RATE) + rate
    mono = _normalized(sound[:needed])
    if rate != RATE:
        common = math.gcd(rate, RATE)
        mono = resample_poly(mono, RATE // common, rate // common)
    integers = np.round(mono[: shape[0]] * OFFSET).clip(-OFFSET, OFFSET - 1).astype(np.int32)
    samples = np.tile(np.array(SILENCE, np.uint8), (shape[0], 1))
    samples[: len(integers)] = to_bytes(integers)
    return samples


def _read(file: Path | io.BytesIO) -> tuple[int, NDArray[Any]]:
    """The rate in Hz, and the sound as it is stored: (T,) or (T, channels)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", wavfile.WavFileWarning)
            warnings.filterwarnings("ignore", "Chunk .*not understood", wavfile.WavFileWarning)
            rate, sound = wavfile.read(file)
    except wavfile.WavFileWarning as error:
        raise ValueError(f"it is cut off ({error})") from None
    except (struct.error, UnboundLocalError, ZeroDivisionError, EOFError) as error:
        raise ValueError(f"it is no complete .wav file ({error})") from None
    return int(rate), np.asarray(sound)


def _normalized(sound: NDArray[Any]) -> NDArray[np.float64]:
    """One channel, from -1 to 1."""
    if sound.dtype.kind == "f":
        if not np.isfinite(sound).all():
            raise ValueError("some of its samples are not finite numbers")
        scaled = sound.astype(np.float64).clip(-1, 1)
    elif (dtype := sound.dtype.str[1:]) in FULL_SCALE:
        middle = 128 if dtype == "u1" else 0
        scaled = (sound.astype(np.float64) - middle) / FULL_SCALE[dtype]
    else:
        raise ValueError(f"its samples are {sound.dtype}, want 8, 16, 24 or 32 bits")
    return scaled if scaled.ndim == 1 else scaled.mean(axis=1)
