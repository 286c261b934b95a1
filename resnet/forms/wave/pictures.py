"""Show a recording to a person."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from resnet.forms.wave.sound import OFFSET, RATE, to_integers


def show(ax: Axes, sample: Any) -> None:
    """Draw the wave of a recording, uint8 (T, 2), into `ax`."""
    sound = to_integers(sample)
    ax.plot(np.arange(len(sound)) / RATE, sound / OFFSET, linewidth=0.4, color="#2563eb")
    ax.set_ylim(-1, 1)
