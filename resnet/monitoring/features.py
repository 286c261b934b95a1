"""What is monitored of images and of a version's predictions, as values. Loads no mlflow."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

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

    @staticmethod
    def of(
        images_nhwc: NDArray[np.uint8],
        probabilities_nk: NDArray[np.float32],
        classes: Iterable[str],
    ) -> "Features":
        """From at least one image, (N, 32, 32, 3), and a version's probabilities, (N, classes)."""
        observed = Observations()
        observed.add(images_nhwc, probabilities_nk)
        return observed.features(classes)

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


class Observations:
    """What the features of any number of images are made of, 28 bytes per image."""

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[Any], ...]] = []

    def add(self, images_nhwc: NDArray[np.uint8], probabilities_nk: NDArray[np.float32]) -> None:
        """Some images, (n, 32, 32, 3), and a version's probabilities for them, (n, classes)."""
        predicted = probabilities_nk.argmax(axis=1), probabilities_nk.max(axis=1)
        self._parts.append((*predicted, *statistics.brightness_and_contrast(images_nhwc)))

    def features(self, classes: Iterable[str]) -> Features:
        """Those of all images that were added, at least one: as if they had been added at once."""
        predicted_n, confidence_n, brightness_n, contrast_n = (
            np.concatenate(arrays) for arrays in zip(*self._parts, strict=True)
        )
        return Features(
            *_predicted(predicted_n, confidence_n, classes),
            Histogram.of(brightness_n, statistics.BRIGHTNESS),
            Histogram.of(contrast_n, statistics.CONTRAST),
        )


def predicted_counts(
    probabilities_nk: NDArray[np.float32], classes: Iterable[str]
) -> tuple[dict[str, int], Histogram]:
    """How many images were predicted to be of each class, and with which confidence."""
    return _predicted(probabilities_nk.argmax(axis=1), probabilities_nk.max(axis=1), classes)


def _predicted(
    predicted_n: NDArray[np.intp], confidence_n: NDArray[np.float32], classes: Iterable[str]
) -> tuple[dict[str, int], Histogram]:
    names = list(classes)
    counts = np.bincount(predicted_n, minlength=len(names)).tolist()
    shares_n = confidence_n.clip(0, 1)  # a softmax may round to just above 1
    return dict(zip(names, counts, strict=True)), Histogram.of(shares_n, CONFIDENCE)
