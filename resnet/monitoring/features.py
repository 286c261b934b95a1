"""What is monitored of images and of a version's predictions, as values. Loads no mlflow."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from resnet.forms.histogram import Bins, Histogram
from resnet.forms.image import statistics

CONFIDENCE = Bins(0.02, 50)


@dataclass(frozen=True)
class Features:
    """The predicted classes and confidence of some images, and their brightness and contrast."""

    classes: Mapping[str, int]  # predicted images per class
    confidence: Histogram  # probability of the predicted class, 0 to 1
    brightness: Histogram  # mean luma, 0 to 255
    contrast: Histogram  # standard deviation of luma

    @classmethod
    def of(
        cls,
        images_nhwc: NDArray[np.uint8],
        probabilities_nk: NDArray[np.float32],
        classes: Iterable[str],
    ) -> Self:
        """From at least one image, (N, 32, 32, 3), and a version's probabilities, (N, classes)."""
        counted = statistics.describe(images_nhwc)
        predicted = predicted_counts(probabilities_nk, classes)
        return cls(*predicted, counted["brightness"], counted["contrast"])

    @classmethod
    def pooled(cls, parts: Iterable[Self]) -> Self:
        """Those of the images of all `parts` together."""
        parts = list(parts)
        classes: Counter[str] = Counter()
        for part in parts:
            classes.update(part.classes)
        return cls(
            dict(classes),
            Histogram.pooled(part.confidence for part in parts),
            Histogram.pooled(part.brightness for part in parts),
            Histogram.pooled(part.contrast for part in parts),
        )

    @property
    def images(self) -> int:
        return self.confidence.size

    @property
    def shares(self) -> dict[str, float]:
        """The share of images predicted to be of each class, 0 to 1."""
        return {name: count / self.images for name, count in self.classes.items()}


def predicted_counts(
    probabilities_nk: NDArray[np.float32], classes: Iterable[str]
) -> tuple[dict[str, int], Histogram]:
    """How many images were predicted to be of each class, and with which confidence."""
    names = list(classes)
    counts = np.bincount(probabilities_nk.argmax(axis=1), minlength=len(names)).tolist()
    confidence_n = probabilities_nk.max(axis=1).clip(0, 1)  # a softmax may round to just above 1
    return dict(zip(names, counts, strict=True)), Histogram.of(confidence_n, CONFIDENCE)
