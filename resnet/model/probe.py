"""A few images and a model's predictions for them at the time of publication.

They show in seconds, and without the data set, whether a model works.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from resnet.errors import PipelineError
from resnet.system import files, npy

IMAGES = 8
TOLERANCE = 1e-3  # of a probability: other CPUs and libraries round differently


@dataclass(frozen=True)
class Probe:
    """Images, uint8 (n, H, W, C), and a model's probabilities for them, float32 (n, K)."""

    images_nhwc: np.ndarray
    probabilities_nk: np.ndarray

    @classmethod
    def of(cls, model: Any, images_nhwc: np.ndarray) -> Self:
        """The predictions of a `keras.Model` for the first few of the images."""
        images = images_nhwc[:IMAGES]
        return cls(images, _probabilities(model, images))

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a file that `write` wrote. Raises PipelineError where it is damaged."""
        try:
            with zipfile.ZipFile(path) as arrays:
                return cls(npy.read(arrays, "images"), npy.read(arrays, "probabilities"))
        except npy.UNREADABLE as error:
            raise PipelineError(f"{path.name} is not a probe ({error}): it is damaged") from None

    def write(self, path: Path) -> None:
        with files.replacing(path) as draft:
            np.savez(draft, images=self.images_nhwc, probabilities=self.probabilities_nk)

    def check(self, model: Any) -> None:
        """Raise PipelineError unless the `keras.Model` predicts what it did at publication.

        The probabilities are compared, not the predicted classes: of two that are almost equal,
        another may be the largest on another CPU.
        """
        probabilities_nk = _probabilities(model, self.images_nhwc)
        if probabilities_nk.shape != self.probabilities_nk.shape:
            raise PipelineError(
                f"the model's output has shape {probabilities_nk.shape}, want "
                f"{self.probabilities_nk.shape} as at publication"
            )
        difference = float(np.max(np.abs(probabilities_nk - self.probabilities_nk)))
        if not difference <= TOLERANCE:  # true for NaN, too
            raise PipelineError(
                f"the model's probabilities for {len(probabilities_nk)} images differ by up to "
                f"{difference:.3g} from those at publication, {TOLERANCE:g} is allowed"
            )


def check_file(model_path: Path, probe_path: Path, model_hash: str) -> None:
    """Load a model and check it. Raises PipelineError where its hash or its predictions differ."""
    from resnet.model import model_file

    model = model_file.load(model_path)
    loaded_hash = model_file.model_hash(model)
    if loaded_hash != model_hash:
        raise PipelineError(
            f"the file holds model {loaded_hash[:12]}…, want {model_hash[:12]}… as published"
        )
    Probe.read(probe_path).check(model)


def _probabilities(model: Any, images_nhwc: np.ndarray) -> np.ndarray:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(model(images_nhwc, training=False)))
