"""What is monitored of samples and of a version's predictions, as values. Loads no mlflow."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from resnet.forms import statistics
from resnet.forms.histogram import Bins, Histogram
from resnet.forms.names import FormName

CONFIDENCE = Bins(0.02, 50)


@dataclass(frozen=True)
class Features:
    """The predicted classes and confidence of some samples, and what their form monitors."""

    form: FormName
    classes: Mapping[str, int]  # predicted samples per class
    confidence: Histogram  # probability of the predicted class, 0 to 1
    samples: Mapping[str, Histogram]  # by the names in the form's FEATURES

    @staticmethod
    def of(
        form: FormName,
        samples: NDArray[np.uint8],
        probabilities_nk: NDArray[np.float32],
        classes: Iterable[str],
    ) -> "Features":
        """From at least one sample, (N, …), and a version's probabilities, (N, classes)."""
        observed = Observations(form)
        observed.add(samples, probabilities_nk)
        return observed.features(classes)

    @classmethod
    def pooled(cls, parts: Iterable[Self]) -> Self:
        """Those of the samples of all `parts`, of one form, together."""
        parts = list(parts)
        classes: Counter[str] = Counter()
        for part in parts:
            classes.update(part.classes)
        return cls(
            parts[0].form,
            dict(classes),
            Histogram.pooled(part.confidence for part in parts),
            {
                name: Histogram.pooled(part.samples[name] for part in parts)
                for name in parts[0].samples
            },
        )

    @property
    def histograms(self) -> dict[str, Histogram]:
        """All but the classes, by name."""
        return {"confidence": self.confidence, **self.samples}

    @property
    def names(self) -> tuple[str, ...]:
        """Of all features, the classes first."""
        return ("classes", *self.histograms)

    @property
    def images(self) -> int:
        return self.confidence.size

    @property
    def shares(self) -> dict[str, float]:
        """The share of samples predicted to be of each class, 0 to 1."""
        return {name: count / self.images for name, count in self.classes.items()}


class Observations:
    """What the features of any number of samples are made of, 28 bytes per sample."""

    def __init__(self, form: FormName) -> None:
        self._form = form
        self._parts: list[tuple[NDArray[Any], ...]] = []

    def add(self, samples: NDArray[np.uint8], probabilities_nk: NDArray[np.float32]) -> None:
        """Some samples, (n, …), and a version's probabilities for them, (n, classes)."""
        predicted = probabilities_nk.argmax(axis=1), probabilities_nk.max(axis=1)
        own = statistics.of(self._form).features(samples)
        self._parts.append((*predicted, *own.values()))

    def features(self, classes: Iterable[str]) -> Features:
        """Those of all samples that were added, at least one: as if they had been added at once."""
        predicted_n, confidence_n, *own = (
            np.concatenate(arrays) for arrays in zip(*self._parts, strict=True)
        )
        features = statistics.of(self._form).FEATURES
        return Features(
            self._form,
            *_predicted(predicted_n, confidence_n, classes),
            {
                name: Histogram.of(numbers_n, feature.bins)
                for (name, feature), numbers_n in zip(features.items(), own, strict=True)
            },
        )


def predicted_counts(
    probabilities_nk: NDArray[np.float32], classes: Iterable[str]
) -> tuple[dict[str, int], Histogram]:
    """How many samples were predicted to be of each class, and with which confidence."""
    return _predicted(probabilities_nk.argmax(axis=1), probabilities_nk.max(axis=1), classes)


def _predicted(
    predicted_n: NDArray[np.intp], confidence_n: NDArray[np.float32], classes: Iterable[str]
) -> tuple[dict[str, int], Histogram]:
    names = list(classes)
    counts = np.bincount(predicted_n, minlength=len(names)).tolist()
    shares_n = confidence_n.clip(0, 1)  # a softmax may round to just above 1
    return dict(zip(names, counts, strict=True)), Histogram.of(shares_n, CONFIDENCE)
