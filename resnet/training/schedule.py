"""Learning rates: a schedule and a number of steps → the learning rate of each step."""

import numpy as np
import numpy.typing as npt

from resnet.params import Schedule


def rates(schedule: Schedule, steps: int) -> npt.NDArray[np.float32]:
    """The learning rate of each step, float32 of shape (steps,).

    After a linear warm-up to its peak, the rate is divided by a factor at each boundary
    (piecewise), follows half a cosine wave (cosine; Loshchilov and Hutter 2017), or falls linearly
    (one-cycle; Smith 2018). The last two would reach zero one step after the last.
    """
    step = np.arange(steps)
    warmup = round(schedule.warmup * steps)
    rising = (step + 1) / max(warmup, 1)
    remaining = (steps - step) / max(steps - warmup, 1)  # from 1 at the peak towards 0
    match schedule.name:
        case "piecewise":
            passed = [step >= round(share * steps) for share in schedule.boundaries]
            falling = schedule.factor ** -np.sum(passed, axis=0, dtype=np.float64)
        case "cosine":
            falling = (1 - np.cos(np.pi * remaining)) / 2
        case "one-cycle":
            falling = remaining
    return (schedule.peak * np.where(step < warmup, rising, falling)).astype(np.float32)
