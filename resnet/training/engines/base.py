"""What the step engines have in common: the network, its optimizer, and scoring in batches."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from resnet.forms import augmentation
from resnet.forms.draws import Draws
from resnet.nets.build import build, whiten
from resnet.training import optimizer
from resnet.training.engines.interface import Bytes, Floats, TrainingJob, padded
from resnet.training.layers.swap import swap_layers

SCORE_BATCH = 500  # images per call in `score`, or a few more where devices share them


class BaseEngine(ABC):
    """The part of `resnet.training.engines.interface.Engine` that is the same on every backend."""

    devices = 1
    score_batch = SCORE_BATCH

    def __init__(self, job: TrainingJob) -> None:
        """The engine of `job`, before its first step."""
        self._recipe, self._spec = job.recipe, job.data
        self._form = augmentation.of(job.data.form)
        self._draws_like = Draws.empty(self._form.DTYPES)
        with precision(job.recipe.precision):
            model = build(job.net, job.data, seed=job.recipe.seed)
        if job.net.stem == "whitening":
            whiten(model, job.images_nhwc)
        self._model = swap_layers(model, self.layer_class)
        variables = self._model.trainable_variables
        self._optimizer = optimizer.create(job.recipe.optimizer, job.rates, variables)
        self._prepare(job.images_nhwc, job.labels_n)

    @staticmethod
    @abstractmethod
    def layer_class(layer: keras.layers.Layer) -> type[Any]:
        """The fastest class for `layer` on this backend; it has the same weights and outputs."""

    @abstractmethod
    def _prepare(self, images_nhwc: Bytes, labels_n: Bytes) -> None:
        """Copy the training images to the device, and compile the steps."""

    @abstractmethod
    def _totals(self, images_nhwc: Bytes, labels_n: Bytes, counted_n: Floats) -> Floats:
        """The sums of cross-entropy and of correct predictions, each image weighed by 1 or 0."""

    def _augmented(self, images: Any, drawn: Any) -> Any:
        """A batch varied by its draws; both are tensors of the backend."""
        return self._form.augment(images, drawn, self._recipe.augment, self._spec)

    def score(self, images_nhwc: Bytes, labels_n: Bytes) -> Floats:
        """See `resnet.training.engines.interface.Engine`."""
        totals = np.zeros(2, np.float32)
        for start in range(0, len(images_nhwc), self.score_batch):
            images = images_nhwc[start : start + self.score_batch]
            labels = labels_n[start : start + self.score_batch]
            batch = images, labels, np.ones(len(images), np.float32)
            totals += self._totals(*(padded(array, self.score_batch) for array in batch))
        return totals / np.float32(len(images_nhwc))

    def close(self) -> None:  # noqa: B027
        """See `resnet.training.engines.interface.Engine`."""


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Layers made in the block compute in float32, or in bfloat16 with weights kept in float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy({"float32": "float32", "bfloat16": "mixed_bfloat16"}[name])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
