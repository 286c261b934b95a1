"""What an accuracy hides: images seen before, labels that are wrong, doubts that people share.

Predictions and what is known of the test images in, numbers out.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnet.data.sets.annotations import Annotations
from resnet.evaluation.score import wilson
from resnet.evaluation.values import Predictions

TEMPERATURES = 0.05, 20.0  # in between which one is looked for
SMALLEST = 1e-7  # a probability, as in `score.cross_entropy`


def subsets(predictions: Predictions, annotations: Annotations) -> pd.DataFrame:
    """The accuracy on parts of the test images, a row a part: subset, images, correct, accuracy,
    and its 95 % interval as low and high. The first part is all of them."""
    parts: dict[str, NDArray[np.bool_]] = {"all": np.ones(len(predictions.labels_n), np.bool_)}
    if annotations.near_n is not None:
        parts["without near-duplicates"] = ~annotations.near_n
        parts["near-duplicates"] = annotations.near_n
    if annotations.wrong_n is not None:
        parts["without label errors"] = ~annotations.wrong_n
    if annotations.near_n is not None and annotations.wrong_n is not None:
        parts["without both"] = ~annotations.near_n & ~annotations.wrong_n
    rows = []
    for name, part_n in parts.items():
        images, correct = int(part_n.sum()), int(predictions.correct_n[part_n].sum())
        if images:
            rows.append((name, images, correct, correct / images, *wilson(correct, images)))
    return pd.DataFrame(rows, columns=["subset", "images", "correct", "accuracy", "low", "high"])


def human_cross_entropy(predictions: Predictions, people_nk: NDArray[np.float64]) -> float:
    """The mean of -Σ people ln p over the classes, in nats: how surprised the model is by people.

    No model can be below people's own entropy, `human_cross_entropy` of `people_nk` themselves.
    """
    return _cross_entropy(people_nk, predictions.probabilities_nk)


def human_entropy(people_nk: NDArray[np.float64]) -> float:
    """The mean of -Σ people ln people, in nats: how much people disagree with each other."""
    return _cross_entropy(people_nk, people_nk)


def temperature(held_out: Predictions) -> float:
    """What logits are divided by so that held-out labels are least surprising (Guo et al. 2017).

    Above one: the model was too sure of itself. The likelihood has one peak in 1 / temperature.
    """
    from scipy.optimize import minimize_scalar

    labels = np.arange(len(held_out.labels_n)), held_out.labels_n

    def loss(log_temperature: float) -> float:
        log_p_nk = _log_scaled(held_out.probabilities_nk, float(np.exp(log_temperature)))
        return float(-log_p_nk[labels].mean())

    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded")
    return float(np.exp(found.x))


def scaled(predictions: Predictions, temperature: float) -> Predictions:
    """What the model would say with its logits divided by `temperature`; its choices stay."""
    p_nk = np.exp(_log_scaled(predictions.probabilities_nk, temperature))
    return Predictions(predictions.labels_n, p_nk.astype(np.float32))


def _log_scaled(p_nk: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """ln softmax(logits / temperature); ln p are logits, but for a constant of each image."""
    logits_nk = _log(p_nk) / temperature
    logits_nk -= logits_nk.max(axis=1, keepdims=True)
    return np.asarray(logits_nk - np.log(np.exp(logits_nk).sum(axis=1, keepdims=True)))


def _cross_entropy(wanted_nk: NDArray[np.floating], p_nk: NDArray[np.floating]) -> float:
    return float(-(wanted_nk * _log(p_nk)).sum(axis=1).mean())


def _log(p_nk: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(np.log(p_nk.clip(min=SMALLEST), dtype=np.float64))
