"""A model in an ONNX file as a function: images in, probabilities out. Loads no TensorFlow."""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from resnet.system import cores

PROVIDERS = ["CPUExecutionProvider"]
BATCH = 50  # images per call: more take more memory and no less time


def load(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The forward pass of the model in `path`, on the CPU: a `resnet.model.forward.Forward`.

    Raises ONNX Runtime's own exceptions where the file holds no model that it can run.
    """
    return _forward(path, onnxruntime.SessionOptions())


def batches(path: Path, images_nhwc: np.ndarray) -> Generator[NDArray[np.float32]]:
    """The probabilities of the images, (n, K), batch by batch in their order; to be closed.

    They have the bits of `load`'s. Each core computes a batch of its own, which takes it less than
    its share of a common one: it waits for no other. Raises as `load`, and as its calls.
    """
    alone = onnxruntime.SessionOptions()
    alone.intra_op_num_threads = 1
    forward, starts = _forward(path, alone), range(0, len(images_nhwc), BATCH)
    with ThreadPoolExecutor(cores.available()) as pool:
        yield from pool.map(lambda start: forward(images_nhwc[start : start + BATCH]), starts)


def _forward(path: Path, options: onnxruntime.SessionOptions) -> Callable[[np.ndarray], np.ndarray]:
    session = onnxruntime.InferenceSession(path, options, providers=PROVIDERS)
    (images,) = session.get_inputs()
    return lambda images_nhwc: np.asarray(session.run(None, {images.name: images_nhwc})[0])
