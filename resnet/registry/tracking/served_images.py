"""MLflow's form of a model, as `mlflow.pyfunc` loads and serves it: checks the images it is given.

A copy of this file travels with each model, so it imports MLflow, NumPy and pandas alone. MLflow's
server casts what it receives to the signature's uint8 and says nothing: images as fractions of 0 to
1 would all be black. Therefore the signature is marked as one that the model checks by itself.
"""

from typing import Any

import numpy as np
import pandas as pd

import mlflow.keras
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

HIGHEST = 255


class CheckedModel:
    """A served model that takes images of integers from 0 to 255 alone."""

    def __init__(self, served: Any, shape: tuple[int, ...]) -> None:
        """`served` is MLflow's wrapper of a Keras model; `shape` is that of one image."""
        self._served, self._shape = served, shape

    def get_raw_model(self) -> Any:
        """The model itself, which checks nothing."""
        return self._served.get_raw_model()

    def predict(self, data: Any, params: Any = None) -> Any:
        """The probabilities of images: an array, nested lists, or a data frame of one column.

        Raises MlflowException, which a server answers with 400, unless all are of integers.
        """
        return self._served.predict(self._images(data))

    def _images(self, data: Any) -> np.ndarray:
        try:
            images = self._column(data) if isinstance(data, pd.DataFrame) else np.asarray(data)
        except ValueError as error:
            raise self._refusal(str(error)) from None
        if images.shape[1:] != self._shape:
            raise self._refusal(f"found an array of shape {images.shape}")
        if images.dtype.kind not in "iu":
            raise self._refusal(f"found {images.dtype} (if they are of 0 to 1: times 255, rounded)")
        if images.size and not (images.min() >= 0 and images.max() <= HIGHEST):
            raise self._refusal(f"found values from {images.min()} to {images.max()}")
        return images.astype(np.uint8, copy=False)

    def _column(self, frame: pd.DataFrame) -> np.ndarray:
        """A column of arrays or lists, one per image, flattened or not."""
        if len(frame.columns) != 1:
            raise ValueError(f"found a data frame of {len(frame.columns)} columns, not of one")
        return np.array(frame.iloc[:, 0].tolist()).reshape(-1, *self._shape)

    def _refusal(self, found: str) -> MlflowException:
        shape = ", ".join(map(str, self._shape))
        wanted = f"want images of shape (N, {shape}), integers from 0 to {HIGHEST}"
        return MlflowException(f"{wanted}: {found}", error_code=INVALID_PARAMETER_VALUE)


def _load_pyfunc(path: str) -> CheckedModel:
    """Called by `mlflow.pyfunc.load_model` with the model's folder."""
    schema = Model.load(path).get_input_schema()
    return CheckedModel(mlflow.keras._load_pyfunc(path), tuple(schema.inputs[0].shape[1:]))
