"""A handful of images and what a model answered to them when it was published.

Enough to tell, in seconds and without the data set, a model that works from one that does not.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from resnet.errors import PipelineError
from resnet.system import files

IMAGES = 8
TOLERANCE = 1e-3  # of a probability: another CPU or library rounds otherwise


@dataclass(frozen=True)
class Probe:
    """Images, uint8 (n, 32, 32, 3), and a model's probabilities for them, float32 (n, 10)."""

    images_nhwc: np.ndarray
    probabilities_nk: np.ndarray

    @classmethod
    def of(cls, model: Any, images_nhwc: np.ndarray) -> Self:
        """What the `keras.Model` answers to the first few of the images."""
        few = images_nhwc[:IMAGES]
        return cls(few, _answers(model, few))

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a file that `write` made."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["images"], arrays["probabilities"])

    def write(self, path: Path) -> None:
        with files.replacing(path) as draft:
            np.savez(draft, images=self.images_nhwc, probabilities=self.probabilities_nk)

    def check(self, model: Any) -> None:
        """Raise PipelineError unless the `keras.Model` answers as it did.

        Only the probabilities count, not which is the largest: two that are almost equal may
        change places on another CPU.
        """
        found = _answers(model, self.images_nhwc)
        if found.shape != self.probabilities_nk.shape:
            raise PipelineError(
                f"the model answers with shape {found.shape}, {self.probabilities_nk.shape} was "
                "published"
            )
        difference = float(np.max(np.abs(found - self.probabilities_nk)))
        if not difference <= TOLERANCE:  # NaN is not either
            raise PipelineError(
                f"the model's probabilities for {len(found)} images differ by up to "
                f"{difference:.3g} from those at publication, {TOLERANCE:g} is allowed"
            )


def check_file(model_path: Path, probe_path: Path, model_hash: str) -> None:
    """Load a model and ask it. Raises PipelineError where it is another, or answers otherwise."""
    from resnet.model import model_file

    model = model_file.load(model_path)
    found = model_file.model_hash(model)
    if found != model_hash:
        raise PipelineError(f"it holds model {found[:12]}…, {model_hash[:12]}… was published")
    Probe.read(probe_path).check(model)


def _answers(model: Any, images_nhwc: np.ndarray) -> np.ndarray:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(model(images_nhwc, training=False)))
