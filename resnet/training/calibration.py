"""Calibrate a trained model: its published form and the validation images in, the same with the
temperature that fits them out.
"""

import keras
import numpy as np

from resnet.data.arrays import Split
from resnet.model import temperature as temperatures
from resnet.model.forward import compiled, in_batches
from resnet.nets.build import calibrated, logits_of
from resnet.training.loop import diverged

BATCH = 500  # images per call


def calibrate(model: keras.Model, validation: Split) -> tuple[keras.Model, float | None]:
    """The calibrated `model` and its temperature; without validation images `model`, and None.

    Raises PipelineError where a logit is not finite.
    """
    if not len(validation.labels_n):
        return model, None
    logits_nk = in_batches(compiled(logits_of(model)), validation.images_nhwc, BATCH)
    wrong = np.flatnonzero(~np.isfinite(logits_nk).all(axis=1))
    if len(wrong):
        raise diverged(
            f"the model's output is not finite for {len(wrong)} of {len(logits_nk)} validation "
            "images"
        )
    temperature = temperatures.fit(logits_nk, validation.labels_n)
    return calibrated(model, temperature), temperature
