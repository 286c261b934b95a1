"""What is watched of images and of what a version says of them, as values. Loads no mlflow."""

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
    """Of some images: what they were said to be and how surely, their brightness and contrast."""

    classes: Mapping[str, int]  # images said to be of each class
    confidence: Histogram  # the likeliest class's probability, 0 to 1
    brightness: Histogram  # mean luma, 0 to 255
    contrast: Histogram  # standard deviation of luma

    @classmethod
    def of(
        cls,
        images_nhwc: NDArray[np.uint8],
        probabilities_nk: NDArray[np.float32],
        classes: Iterable[str],
    ) -> Self:
        """Of at least one image, (N, 32, 32, 3), and a version's probabilities for it, (N, K)."""
        light = statistics.describe(images_nhwc)
        return cls(*said(probabilities_nk, classes), light["brightness"], light["contrast"])

    @classmethod
    def pooled(cls, parts: Iterable[Self]) -> Self:
        """Of the images of all `parts`."""
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
        """Of each class, 0 to 1."""
        return {name: count / self.images for name, count in self.classes.items()}


def said(
    probabilities_nk: NDArray[np.float32], classes: Iterable[str]
) -> tuple[dict[str, int], Histogram]:
    """How many images were said to be of each class, and how surely."""
    names = list(classes)
    counts = np.bincount(probabilities_nk.argmax(axis=1), minlength=len(names)).tolist()
    confidence_n = probabilities_nk.max(axis=1).clip(0, 1)  # a softmax may round to just above 1
    return dict(zip(names, counts, strict=True)), Histogram.of(confidence_n, CONFIDENCE)
