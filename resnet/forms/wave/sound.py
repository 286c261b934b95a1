"""A recording as bytes: 16-bit samples at 8,000 Hz, each plus 32,768, the high byte first.

Sound samples between -32,768 and 32,767 (N, T) ↔ uint8 (N, T, 2). Silence is (128, 0). Whoever
trains, scores and shows uses these two functions, so that the bytes mean the same everywhere.
"""

import numpy as np
from numpy.typing import NDArray

RATE = 8_000  # Hz
OFFSET = 32_768
SILENCE = (OFFSET >> 8, OFFSET & 255)  # a sample of 0, as bytes


def to_bytes(sound: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Integers (…, T) → uint8 (…, T, 2)."""
    shifted = sound.astype(np.int32) + OFFSET
    return np.stack([shifted >> 8, shifted & 255], axis=-1).astype(np.uint8)


def to_integers(samples: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Uint8 (…, T, 2) → int32 (…, T)."""
    return (samples[..., 0].astype(np.int32) << 8) + samples[..., 1] - OFFSET
