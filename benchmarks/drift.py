"""How often `monitor` gives a false alarm, and which changes of the images it detects, as a table.

    python -m benchmarks.drift          # in a checkout whose stages have run

It is not part of `make bench`. Each trial draws half of the test images as a version's reference;
from the other half batches are drawn, unchanged and altered. If no model has been trained, the
labels replace its predictions, all with the same confidence.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from resnet import params
from resnet.checkout import project
from resnet.data import arrays
from resnet.data.profile import Profile
from resnet.forms.histogram import Histogram
from resnet.forms.image import statistics
from resnet.model import model_file
from resnet.monitoring import drift
from resnet.monitoring.features import Features, predicted_counts
from resnet.monitoring.scored_batches import ScoredBatch
from resnet.serving.predict import Scorer

Images = NDArray[np.uint8]

UNCHANGED = "as they are"
ALTERED: dict[str, Callable[[Images], Images]] = {
    UNCHANGED: lambda images: images,
    "5 % darker": lambda images: (images * 0.95).astype(np.uint8),
    "15 % darker": lambda images: (images * 0.85).astype(np.uint8),
    "30 % darker": lambda images: (images * 0.7).astype(np.uint8),
    "blurred, σ = 1 pixel": lambda images: gaussian_filter(images, (0, 1, 1, 0)),
}
SKEWED = {"one class twice as often": 2, "one class four times as often": 4}
BATCHES = {"1 batch": (1, 1), "10 batches, 1 of them altered": (10, 1), "10 batches": (10, 10)}


class Observed(NamedTuple):
    """What a model sees and predicts of each test image, altered in one way."""

    probabilities_nk: NDArray[np.float32]
    images: dict[str, NDArray[np.float64]]  # of the images, by feature


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", nargs="+", type=int, default=[100, 300])
    parser.add_argument("--trials", "--looks", type=int, default=100)
    arguments = parser.parse_args()
    subject = Subject(project.find_root())
    print("| batches | images in each | " + " | ".join([*ALTERED, *SKEWED]) + " |")
    print("|---" * (2 + len(ALTERED) + len(SKEWED)) + "|")
    for name, (batches, altered) in BATCHES.items():
        for images in arguments.images:
            if images * batches > len(subject.labels_n) / 4:
                continue  # too few remain to draw a class more often
            shares = subject.detected(images, batches, altered, arguments.trials)
            print(f"| {name} | {images} | " + " | ".join(shares) + " |", flush=True)


class Subject:
    """The test images of a checkout, altered in every way, and a model's predictions for them."""

    def __init__(self, root: Path) -> None:
        parameters = params.load(root)
        paths = parameters.paths.under(root)
        self.rules = parameters.monitor
        profile = Profile.read(paths.profile)
        self.classes, stored = profile.classes, profile.values
        self.training = {name: Histogram.from_dict(stored[name]) for name in statistics.FEATURES}
        test = arrays.load(paths, "test")
        self.labels_n = test.labels_n
        model = paths.model
        predict = Scorer(model_file.load(model)) if model.exists() else self._labels
        self.observed: dict[str, Observed] = {}
        for name, alter in ALTERED.items():
            images = alter(test.images_nhwc)
            self.observed[name] = Observed(predict(images), statistics.features(images))

    def _labels(self, images: Images) -> NDArray[np.float32]:
        return np.eye(len(self.classes), dtype=np.float32)[self.labels_n]

    def detected(self, images: int, batches: int, altered: int, trials: int) -> Iterator[str]:
        """The share of `trials` in which drift is detected, for each alteration."""
        alterations = [(name, 1) for name in ALTERED] + [(UNCHANGED, k) for k in SKEWED.values()]
        for name, factor in alterations:
            results = [
                self._trial(name, factor, images, batches, altered, n) for n in range(trials)
            ]
            yield f"{np.mean(results):.1%}"

    def _trial(
        self, name: str, factor: int, images: int, batches: int, altered: int, seed: int
    ) -> bool:
        """Whether drift is detected in batches of which `altered` are altered.

        In these, class 0 is drawn `factor` times as often. No image is drawn twice.
        """
        rng = np.random.default_rng(seed)
        in_reference, remaining = np.split(rng.permutation(len(self.labels_n)), 2)
        features = []
        for k in range(batches):
            weights = np.ones(len(remaining))
            if k < altered:
                weights = np.where(self.labels_n[remaining] == 0, factor, 1)
            indices = rng.choice(remaining, images, replace=False, p=weights / weights.sum())
            remaining = np.setdiff1d(remaining, indices)
            features.append(self._features(name if k < altered else UNCHANGED, indices))
        probabilities_nk = self.observed[UNCHANGED].probabilities_nk[in_reference]
        predicted = predicted_counts(probabilities_nk, self.classes)
        reference = Features("image", *predicted, self.training)
        scored = [
            ScoredBatch("m", 1, str(k), each, "", "", "", "") for k, each in enumerate(features)
        ]
        return drift.detect(reference, scored, self.rules).state == "Drift"

    def _features(self, name: str, indices: NDArray[np.intp]) -> Features:
        observed = self.observed[name]
        return Features(
            "image",
            *predicted_counts(observed.probabilities_nk[indices], self.classes),
            {
                name: Histogram.of(numbers_n[indices], statistics.FEATURES[name].bins)
                for name, numbers_n in observed.images.items()
            },
        )


if __name__ == "__main__":
    main()
