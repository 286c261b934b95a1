"""Log a Keras model in MLflow's own form, so that `mlflow.pyfunc.load_model` serves it.

Needs TensorFlow. The exported form is the quick one: one image takes 6 ms through pyfunc, against
60 ms where MLflow has to call `predict` (2-core CPU).
"""

import contextlib
import importlib.metadata
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from resnet.registry import store
from resnet.registry.store import Client

from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

PACKAGES = ("tensorflow", "keras", "numpy")
LOADER = Path(__file__).with_name("served_images.py")  # of which each model has a copy


class _Flavor:
    """`mlflow.keras`, loaded by `served_images`.

    In MLflow 3.17.2 it cannot save an input example, for want of a folder.
    """

    @staticmethod
    def save_model(path: str, **words: Any) -> None:
        import mlflow.keras

        Path(path).mkdir(parents=True)
        with contextlib.redirect_stdout(io.StringIO()):  # a page about captured tensors
            mlflow.keras.save_model(path=path, **words)
        code = Path(path, "code", LOADER.name)
        code.parent.mkdir()
        shutil.copyfile(LOADER, code)
        saved = Model.load(path)
        saved.flavors["python_function"] |= {"loader_module": code.stem, "code": code.parent.name}
        saved.save(str(Path(path, "MLmodel")))


def log(client: Client, run_id: str, model: Any, example_nhwc: np.ndarray) -> str:
    """Log `model`, a `keras.Model`, as an output of the run; the id of the logged model.

    `example_nhwc` becomes its input example, for which MLflow calls the logged copy.
    """
    experiment = client.get_run(run_id).info.experiment_id
    logged = client.create_logged_model(experiment, name="model", source_run_id=run_id)
    with store.as_default(client):
        Model.log(
            artifact_path=None,
            flavor=_Flavor,
            model_id=logged.model_id,
            run_id=run_id,
            model=model,
            save_exported_model=True,
            signature=signature(model),
            input_example=example_nhwc,
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in PACKAGES],
        )
    client.finalize_logged_model(logged.model_id, "READY")
    return str(logged.model_id)


def signature(model: Any) -> ModelSignature:
    """The types and shapes of the arrays that a `keras.Model` takes and gives.

    It is marked as one that the served model checks by itself, as MLflow marks those that it infers
    from type hints, because MLflow would cast floats to uint8 instead of refusing them.
    """
    inputs, outputs = (
        Schema([TensorSpec(np.dtype(tensor.dtype), (-1, *tensor.shape[1:])) for tensor in tensors])
        for tensors in (model.inputs, model.outputs)
    )
    checked = ModelSignature(inputs=inputs, outputs=outputs)
    checked._is_signature_from_type_hint = True
    return checked


def find(client: Client, run_id: str) -> str | None:
    """The id of a model that was completely logged as an output of the run."""
    outputs = client.get_run(run_id).outputs
    for output in outputs.model_outputs if outputs else ():
        if str(client.get_logged_model(output.model_id).status) == "READY":
            return str(output.model_id)
    return None
