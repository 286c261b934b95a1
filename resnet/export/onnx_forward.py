"""A model in an ONNX file as a function: images in, probabilities out. Loads no TensorFlow."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

PROVIDERS = ["CPUExecutionProvider"]


def load(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The forward pass of the model in `path`, on the CPU: a `resnet.model.forward.Forward`.

    Raises ONNX Runtime's own exceptions where the file holds no model that it can run.
    """
    session = onnxruntime.InferenceSession(path, providers=PROVIDERS)
    (images,) = session.get_inputs()
    return lambda images_nhwc: np.asarray(session.run(None, {images.name: images_nhwc})[0])
