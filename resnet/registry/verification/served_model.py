"""Compare the two forms of a version, its model.keras and MLflow's, by their probabilities.

Needs TensorFlow, so `verify` calls it in a child process.
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
    """Print `path`'s model hash, then the difference of its probabilities from the version's.

    The first line is printed wherever `path` can be loaded. Raises PipelineError where MLflow
    cannot serve the version, which is downloaded beside `path`.
    """
    model = model_file.load(path)
    print(f"model_hash {model_file.model_hash(model)}", flush=True)
    served = path.with_name("served")
    served.mkdir()
    try:
        with store.as_default(store.client(root)):
            loaded = mlflow.pyfunc.load_model(f"models:/{name}/{number}", dst_path=str(served))
        print(f"difference {_difference(model, loaded):.3g}", flush=True)
    except (MlflowException, tf.errors.OpError, OSError, ValueError, ImportError) as error:
        raise PipelineError(f"MLflow cannot serve it: {error}") from error


def _difference(model: keras.Model, served: PyFuncModel) -> float:
    """The greatest difference of a probability, over a few inputs of noise."""
    shape = IMAGES, *model.input_shape[1:]
    images_nhwc = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    expected_nk = np.asarray(model(images_nhwc, training=False))
    return float(np.abs(np.asarray(served.predict(images_nhwc)) - expected_nk).max())
