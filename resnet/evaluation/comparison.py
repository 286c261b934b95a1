"""Compare two models on the same test images: their predictions in, statistics out.

It stands beside the gate, not in resnet.evaluation, for DVC scores every model again when a file
of that folder changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resnet.errors import PipelineError
from resnet.evaluation.values import Predictions

INTERVAL = 0.95
RESAMPLES = 20_000
SEED = 0


@dataclass(frozen=True)
class Recall:
    """The share of one class's images that each of the two models has right."""

    name: str
    images: int
    challenger: float
    production: float


@dataclass(frozen=True)
class Comparison:
    """A challenger beside the model in production; shares are 0 to 1."""

    images: int
    gained: int  # images that only the challenger has right
    lost: int  # images that only production has right
    challenger: float  # accuracy
    production: float
    difference: float  # of accuracy: challenger less production
    low: float  # paired bootstrap 95 % interval of the difference
    high: float
    confidence: float
    bound: float  # of the difference from below, at `confidence` (one-sided)
    p: float  # of McNemar's exact test
    recalls: tuple[Recall, ...]  # of the classes that have images


def compare(
    challenger: Predictions, production: Predictions, classes: Sequence[str], confidence: float
) -> Comparison:
    """Compare what two models said of the same images; `confidence` is that of the lower bound.

    Raises PipelineError where the predictions are not about the same images.
    """
    if not np.array_equal(challenger.labels_n, production.labels_n):
        raise PipelineError(
            "the two predictions have other labels, so they are not about the same test images: "
            "run 'resnet evaluate' and 'resnet publish' again"
        )
    images = len(challenger.labels_n)
    gained = int((challenger.correct_n & ~production.correct_n).sum())
    lost = int((production.correct_n & ~challenger.correct_n).sum())
    resampled = bootstrap(gained, lost, images)
    low, bound, high = np.quantile(
        resampled, [(1 - INTERVAL) / 2, 1 - confidence, (1 + INTERVAL) / 2]
    ).tolist()
    before, after = recalls(production, classes), recalls(challenger, classes)
    counts = np.bincount(challenger.labels_n, minlength=len(classes)).tolist()
    return Comparison(
        images=images,
        gained=gained,
        lost=lost,
        challenger=int(challenger.correct_n.sum()) / images,
        production=int(production.correct_n.sum()) / images,
        difference=(gained - lost) / images,
        low=low,
        high=high,
        confidence=confidence,
        bound=bound,
        p=mcnemar(gained, lost),
        recalls=tuple(
            Recall(name, count, after[name], before[name])
            for name, count in zip(classes, counts, strict=True)
            if count
        ),
    )


def check(predictions: Predictions) -> None:
    """Raise PipelineError where nothing can be counted: no image, or answers that are no numbers.

    The likeliest of probabilities among which one is NaN is that one, and may be right by chance.
    """
    numbers_n = np.isfinite(predictions.probabilities_nk).all(axis=1)
    if not numbers_n.size:
        raise PipelineError("the predictions are about no image: run 'resnet evaluate' again")
    if not numbers_n.all():
        wrong = int((~numbers_n).sum())
        raise PipelineError(
            f"the probabilities for {wrong:,} of {numbers_n.size:,} test images are no numbers "
            "(NaN): the model is broken; train another"
        )


def bootstrap(gained: int, lost: int, images: int) -> NDArray[np.float64]:
    """The difference of accuracy in `RESAMPLES` resamples of the images, with replacement.

    An image adds 1, -1 or 0 to the difference, so a resample is told by how many of each it holds,
    and those counts are multinomial. Drawing them is the bootstrap of scipy.stats.bootstrap
    (paired, percentile method) in milliseconds instead of seconds and a gigabyte.
    """
    shares = np.array([gained, lost, images - gained - lost]) / images
    counts = np.random.default_rng(SEED).multinomial(images, shares, RESAMPLES)
    return np.asarray((counts[:, 0] - counts[:, 1]) / images)


def mcnemar(gained: int, lost: int) -> float:
    """How likely two equally good models differ at least so much; two-sided, exact (McNemar 1947).

    1 where they differ on no image.
    """
    if gained + lost == 0:
        return 1.0
    from scipy.stats import binomtest  # it takes most of a second

    return float(binomtest(gained, gained + lost).pvalue)


def recalls(predictions: Predictions, classes: Sequence[str]) -> dict[str, float]:
    """The share of each class's images that the model has right; classes without images left out.

    Raises PipelineError where a label has no name in `classes`.
    """
    images_k = np.bincount(predictions.labels_n, minlength=len(classes))
    if len(images_k) != len(classes):
        raise PipelineError(
            f"the predictions have labels up to {len(images_k) - 1}, and there are names for "
            f"{len(classes)} classes: run 'resnet evaluate' and 'resnet publish' again"
        )
    right_k = np.bincount(predictions.labels_n[predictions.correct_n], minlength=len(classes))
    return {
        name: right / images
        for name, right, images in zip(classes, right_k.tolist(), images_k.tolist(), strict=True)
        if images
    }
