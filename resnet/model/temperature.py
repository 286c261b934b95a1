"""The temperature of a published model: logits and labels in, the number that calibrates them out.

Divided by it, the logits of held-out images give the probabilities of least loss (Guo et al. 2017,
section 4.2), and no other predicted class.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LAYER = "temperature"  # of a calibrated model, a Rescaling by 1 / temperature
LEAST, GREATEST = 0.05, 20.0  # the range of the search
HALVINGS = 30
DIGITS = 4  # behind the point: more would be noise, and change with the last bits of a logit


def fit(logits_nk: NDArray[np.floating], labels_n: NDArray[np.integer]) -> float:
    """The temperature, by which logits are divided, of least cross-entropy on N images.

    Above 1 the model is overconfident, below 1 underconfident. The loss is convex in
    1 / temperature, so the search halves an interval by the sign of its derivative: the mean of the
    logits by the probabilities, less their mean by the labels. Here one more image counts whose
    label may be any class, so that images that are all classified correctly do not ask for
    certainty (Platt 1999 corrects the labels for the same reason).
    """
    z_nk = np.asarray(logits_nk, np.float64)
    z_nk = z_nk - z_nk.mean(axis=1, keepdims=True)  # so the one more image counts 0
    by_labels = np.take_along_axis(z_nk, np.asarray(labels_n, int)[:, None], axis=1).sum()
    low, high = np.log((LEAST, GREATEST))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        by_model = (_softmax(z_nk / np.exp(middle)) * z_nk).sum()
        if by_model * (1 + 1 / len(z_nk)) > by_labels:
            low = middle
        else:
            high = middle
    return round(float(np.exp(high)), DIGITS)


def of(model: Any) -> float | None:
    """The temperature of a published `keras.Model`; None where it was published without one."""
    scales = [layer.scale for layer in model.layers if layer.name == LAYER]
    return round(1 / scales[0], DIGITS) if scales else None


def _softmax(z_nk: NDArray[np.float64]) -> NDArray[np.float64]:
    p_nk = np.exp(z_nk - z_nk.max(axis=1, keepdims=True))
    return np.asarray(p_nk / p_nk.sum(axis=1, keepdims=True))
