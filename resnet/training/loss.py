"""The loss of each image, and whether it is recognised: logits and labels → (N,)."""

from typing import Any

import keras
from keras import ops


def cross_entropy(logits_nk: keras.KerasTensor, labels_n: Any, smoothing: float = 0.0) -> Any:
    """The cross-entropy of each image, in nats, float32 of shape (N,).

    With label smoothing s the target is 1 - s on the label and s / classes on every class
    (Szegedy et al. 2016, section 7).
    """
    log_probabilities = ops.log_softmax(logits_nk)
    label = ops.one_hot(ops.cast(labels_n, "int32"), logits_nk.shape[-1])
    target = (1 - smoothing) * label + smoothing / logits_nk.shape[-1]
    return -ops.sum(target * log_probabilities, axis=-1)


def correct(logits_nk: keras.KerasTensor, labels_n: Any) -> Any:
    """1 where the greatest logit is that of the label, else 0; float32 of shape (N,)."""
    predicted = ops.argmax(logits_nk, axis=-1)
    return ops.cast(ops.equal(predicted, ops.cast(labels_n, predicted.dtype)), "float32")
