"""What an accuracy hides: near-duplicates, label errors, human disagreement.

Predictions and annotations of the test samples in, numbers out.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnet.data.sets.annotations import Annotations
from resnet.evaluation.records import Predictions
from resnet.evaluation.score import wilson

SMALLEST = 1e-7  # a probability, as in `score.cross_entropy`


def subsets(predictions: Predictions, annotations: Annotations) -> pd.DataFrame:
    """The accuracy on subsets of the test samples, the first of which is all of them.

    One row per subset: subset, images, correct, accuracy, low and high (its 95 % interval).
    """
    masks: dict[str, NDArray[np.bool_]] = {"all": np.ones(len(predictions.labels_n), np.bool_)}
    if annotations.near_n is not None:
        masks["without near-duplicates"] = ~annotations.near_n
        masks["near-duplicates"] = annotations.near_n
    if annotations.wrong_n is not None:
        masks["without label errors"] = ~annotations.wrong_n
    if annotations.near_n is not None and annotations.wrong_n is not None:
        masks["without both"] = ~annotations.near_n & ~annotations.wrong_n
    rows = []
    for name, mask_n in masks.items():
        images, correct = int(mask_n.sum()), int(predictions.correct_n[mask_n].sum())
        if images:
            rows.append((name, images, correct, correct / images, *wilson(correct, images)))
    return pd.DataFrame(rows, columns=["subset", "images", "correct", "accuracy", "low", "high"])


def scores(
    predictions: Predictions, subsets: pd.DataFrame, annotations: Annotations
) -> dict[str, Any]:
    """The accuracy on each subset but the first, and the scores by human labels, as metrics."""
    accuracies = zip(subsets["subset"][1:], subsets["accuracy"][1:], strict=True)
    values = {metric_name(subset): float(accuracy) for subset, accuracy in accuracies}
    if annotations.people_nk is not None:
        values["human_cross_entropy"] = human_cross_entropy(predictions, annotations.people_nk)
        values["human_entropy"] = human_entropy(annotations.people_nk)
    return values


def metric_name(subset: str) -> str:
    """The metric that is the accuracy on a subset."""
    return f"accuracy_{subset}".replace(" ", "_").replace("-", "_")


def human_cross_entropy(predictions: Predictions, people_nk: NDArray[np.float64]) -> float:
    """The mean over the images of -Σ people ln p, in nats.

    people_nk: the share of people who chose each class. No model can be below `human_entropy`.
    """
    return _cross_entropy(people_nk, predictions.probabilities_nk)


def human_entropy(people_nk: NDArray[np.float64]) -> float:
    """The mean over the images of -Σ people ln people, in nats: how much people disagree."""
    return _cross_entropy(people_nk, people_nk)


def _cross_entropy(target_nk: NDArray[np.floating], p_nk: NDArray[np.floating]) -> float:
    return float(-(target_nk * _log(p_nk)).sum(axis=1).mean())


def _log(p_nk: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(np.log(p_nk.clip(min=SMALLEST), dtype=np.float64))
