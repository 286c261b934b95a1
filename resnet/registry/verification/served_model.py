"""Compare the two forms of a version, its model.keras and what MLflow serves, by their answers.

Needs TensorFlow, so that `verify` calls it in a process of its own.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from resnet.errors import PipelineError
from resnet.model import model_file
from resnet.registry import store

import mlflow.pyfunc
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel

IMAGES = 8


def report(root: Path, path: Path, name: str, number: int) -> None:
    """Print `path`'s model hash, then how far its answers are from those of the version.

    The first line is printed in any case where `path` can be loaded. Raises PipelineError where
    MLflow cannot serve the version, which is downloaded beside `path`.
    """
    model = model_file.load(path)
    print(f"model_hash {model_file.model_hash(model)}", flush=True)
    served = path.with_name("served")
    served.mkdir()
    try:
        with store.as_default(store.client(root)):
            loaded = mlflow.pyfunc.load_model(f"models:/{name}/{number}", dst_path=str(served))
        print(f"difference {_difference(model, loaded):.3g}", flush=True)
    except (MlflowException, tf.errors.OpError, OSError, ValueError) as error:
        raise PipelineError(f"MLflow cannot serve it: {error}") from error


def _difference(model: keras.Model, served: PyFuncModel) -> float:
    """The greatest one between two probabilities, over a few images of noise."""
    images_nhwc = np.random.default_rng(0).integers(0, 256, (IMAGES, 32, 32, 3), np.uint8)
    expected_nk = np.asarray(model(images_nhwc, training=False))
    return float(np.abs(np.asarray(served.predict(images_nhwc)) - expected_nk).max())
