"""From predictions to scores: labels and probabilities in, numbers and tables out."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
import pandas as pd

from resnet.evaluation.records import Predictions


@dataclass(frozen=True)
class Scores:
    """The scores of the predictions for one test split; shares are 0 to 1."""

    images: int
    correct: int
    accuracy_low: float
    accuracy_high: float
    loss: float
    top2: float
    calibration_error: float
    confusion_kk: np.ndarray  # int64 (K, K): images of class [row] predicted as class [column]
    per_class: pd.DataFrame  # one row per class: see `per_class`
    reliability: pd.DataFrame  # one row per bin that holds images: see `calibration`

    @property
    def accuracy(self) -> float:
        return self.correct / self.images


def score(predictions: Predictions, classes: Sequence[str], bins: int) -> Scores:
    """All scores of `predictions`; the calibration error is over `bins` bins of confidence."""
    images, correct = len(predictions.labels_n), int(predictions.correct_n.sum())
    low, high = wilson(correct, images)
    confusion_kk = confusion(predictions, len(classes))
    reliability = calibration(predictions, bins)
    return Scores(
        images=images,
        correct=correct,
        accuracy_low=low,
        accuracy_high=high,
        loss=cross_entropy(predictions),
        top2=top_k_accuracy(predictions, 2),
        calibration_error=calibration_error(reliability),
        confusion_kk=confusion_kk,
        per_class=per_class(confusion_kk, classes),
        reliability=reliability,
    )


def wilson(correct: int, images: int, confidence: float = 0.95) -> tuple[float, float]:
    """The confidence interval of a share of which `correct` of `images` were seen (Wilson 1927).

    Equal to scipy.stats.binomtest(…).proportion_ci(method="wilson"), whose import takes longer
    than all other scores together.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / images
    centre = share + z**2 / (2 * images)
    half = z * sqrt(share * (1 - share) / images + (z / (2 * images)) ** 2)
    low, high = ((centre + sign * half) / (1 + z**2 / images) for sign in (-1, 1))
    return max(low, 0.0), min(high, 1.0)


def cross_entropy(predictions: Predictions) -> float:
    """The mean of -ln p(label), in nats; p is at least 1e-7, as in Keras's own loss."""
    labels_n1 = predictions.labels_n.astype(int)[:, None]
    p_n1 = np.take_along_axis(predictions.probabilities_nk, labels_n1, axis=1)
    return float(-np.log(p_n1.clip(min=1e-7), dtype=float).mean())


def top_k_accuracy(predictions: Predictions, k: int) -> float:
    """The share of images whose label is among the `k` most probable classes."""
    top_nk = predictions.probabilities_nk.argsort(axis=1)[:, -k:]
    return float((top_nk == predictions.labels_n[:, None]).any(axis=1).mean())


def confusion(predictions: Predictions, classes: int) -> np.ndarray:
    """How many images of class [row] were predicted as [column], int64 (classes, classes)."""
    pair_n = predictions.labels_n.astype(int) * classes + predictions.predicted_n
    return np.bincount(pair_n, minlength=classes**2).reshape(classes, classes)


def per_class(confusion_kk: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """One row per class: class, images, predicted, precision, recall, recall_low and recall_high
    (its 95 % interval), f1. A share of nothing is 0, and its interval 0 to 1."""
    table = pd.DataFrame(
        {
            "class": classes,
            "images": confusion_kk.sum(axis=1),
            "predicted": confusion_kk.sum(axis=0),
        }
    )
    hits = pd.Series(confusion_kk.diagonal())
    table["precision"] = (hits / table["predicted"]).fillna(0)
    table["recall"] = (hits / table["images"]).fillna(0)
    intervals = [
        wilson(int(correct), int(images)) if images else (0.0, 1.0)
        for correct, images in zip(hits, table["images"], strict=True)
    ]
    table["recall_low"], table["recall_high"] = zip(*intervals, strict=True)
    table["f1"] = (2 * hits / (table["images"] + table["predicted"])).fillna(0)
    return table


def calibration(predictions: Predictions, bins: int) -> pd.DataFrame:
    """Mean confidence and accuracy in bins of equal width, ](m - 1) / bins, m / bins].

    One row per bin that holds images: low, high, images, confidence, accuracy.
    """
    bin_n = np.ceil(predictions.confidence_n * bins).astype(int).clip(1, bins)
    images = pd.DataFrame(
        {"confidence": predictions.confidence_n.astype(float), "accuracy": predictions.correct_n}
    )
    groups = images.groupby(bin_n)
    table = groups.mean()
    table.insert(0, "images", groups.size())
    table.insert(0, "high", table.index / bins)
    table.insert(0, "low", (table.index - 1) / bins)
    return table.reset_index(drop=True)


def calibration_error(reliability: pd.DataFrame) -> float:
    """The mean distance of accuracy from confidence over all images (Guo et al. 2017, eq. 3)."""
    gap = (reliability["accuracy"] - reliability["confidence"]).abs()
    return float((gap * reliability["images"]).sum() / reliability["images"].sum())
