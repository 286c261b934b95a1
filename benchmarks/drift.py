"""How often `monitor` gives a false alarm, and which changes of the images it notices, as a table.

    python -m benchmarks.drift          # in a checkout whose stages have run

It is no part of `make bench`. Each look draws a half of the test images anew, for what a version
knows of its answers; from the other half batches are drawn, as they are and altered. Where no model
has been trained, the labels take the place of its answers, with one confidence for all.
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
from resnet.forms.histogram import Histogram
from resnet.forms.image import statistics
from resnet.forms.image.statistics import BRIGHTNESS, CONTRAST
from resnet.model import model_file
from resnet.monitoring import drift
from resnet.monitoring.features import Features, predicted_counts
from resnet.monitoring.reference import IN_PROFILE
from resnet.monitoring.scored_batches import ScoredBatch
from resnet.serving.predict import Scorer
from resnet.system import files

Images = NDArray[np.uint8]

ALTERED: dict[str, Callable[[Images], Images]] = {
    "as they are": lambda images: images,
    "5 % darker": lambda images: (images * 0.95).astype(np.uint8),
    "15 % darker": lambda images: (images * 0.85).astype(np.uint8),
    "30 % darker": lambda images: (images * 0.7).astype(np.uint8),
    "blurred, σ = 1 pixel": lambda images: gaussian_filter(images, (0, 1, 1, 0)),
}
SKEWED = {"one class twice as often": 2, "one class four times as often": 4}
BATCHES = {"1 batch": (1, 1), "10 batches, 1 of them altered": (10, 1), "10 batches": (10, 10)}


class Seen(NamedTuple):
    """What is known of each test image, altered in one way; (N,) or (N, classes)."""

    answers_nk: NDArray[np.float32]
    brightness_n: NDArray[np.float64]
    contrast_n: NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", nargs="+", type=int, default=[100, 300])
    parser.add_argument("--looks", type=int, default=100)
    chosen = parser.parse_args()
    subject = Subject(project.find_root())
    print("| batches | images in each | " + " | ".join([*ALTERED, *SKEWED]) + " |")
    print("|---" * (2 + len(ALTERED) + len(SKEWED)) + "|")
    for name, (batches, altered) in BATCHES.items():
        for images in chosen.images:
            if images * batches > len(subject.labels_n) / 4:
                continue  # too few are left to draw a class more often
            shares = subject.noticed(images, batches, altered, chosen.looks)
            print(f"| {name} | {images} | " + " | ".join(shares) + " |", flush=True)


class Subject:
    """The test images of a checkout, altered in every way, and what is said of them."""

    def __init__(self, root: Path) -> None:
        chosen = params.load(root)
        self.rules = chosen.monitor
        profile = files.read_json(root / chosen.paths.profile)
        self.classes = profile["classes"]
        self.brightness_and_contrast = [Histogram.from_dict(profile[name]) for name in IN_PROFILE]
        test = arrays.load(root / chosen.paths.arrays, "test")
        self.labels_n = test.labels_n
        model = root / chosen.paths.model
        answer = Scorer(model_file.load(model)) if model.exists() else self._labels
        self.seen: dict[str, Seen] = {}
        for name, alter in ALTERED.items():
            images = alter(test.images_nhwc)
            light = statistics.brightness_and_contrast(images)
            self.seen[name] = Seen(answer(images), *light)

    def _labels(self, images: Images) -> NDArray[np.float32]:
        return np.eye(len(self.classes), dtype=np.float32)[self.labels_n]

    def noticed(self, images: int, batches: int, altered: int, looks: int) -> Iterator[str]:
        """The share of `looks` that end as drifted, for each alteration."""
        ways = [(name, 1) for name in ALTERED] + [("as they are", k) for k in SKEWED.values()]
        for name, often in ways:
            found = [self._look(name, often, images, batches, altered, n) for n in range(looks)]
            yield f"{np.mean(found):.1%}"

    def _look(
        self, name: str, often: int, images: int, batches: int, altered: int, seed: int
    ) -> bool:
        """Whether a look at batches ends as drifted; no image is drawn twice."""
        rng = np.random.default_rng(seed)
        known, left = np.split(rng.permutation(len(self.labels_n)), 2)
        drawn = []
        for k in range(batches):
            now = k < altered
            weights = np.where(self.labels_n[left] == 0, often, 1) if now else np.ones(len(left))
            chosen = rng.choice(left, images, replace=False, p=weights / weights.sum())
            left = np.setdiff1d(left, chosen)
            drawn.append(self._features(name if now else "as they are", chosen))
        predicted = predicted_counts(self.seen["as they are"].answers_nk[known], self.classes)
        made = [ScoredBatch("m", 1, str(k), one, "", "", "", "") for k, one in enumerate(drawn)]
        reference = Features(*predicted, *self.brightness_and_contrast)
        return drift.detect(reference, made, self.rules).state == "Drift"

    def _features(self, name: str, chosen: NDArray[np.intp]) -> Features:
        seen = self.seen[name]
        return Features(
            *predicted_counts(seen.answers_nk[chosen], self.classes),
            Histogram.of(seen.brightness_n[chosen], BRIGHTNESS),
            Histogram.of(seen.contrast_n[chosen], CONTRAST),
        )


if __name__ == "__main__":
    main()
