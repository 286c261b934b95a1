"""MLflow serves a registered model, and neither its pyfunc nor its server alters what it is sent.

The server casts an array to the signature's uint8, so that images of 0 to 1 would all be black.
"""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resnet.model import model_file
from resnet.registry import store
from resnet.registry.tracking import mlflow_model
from tests.support.colours import model  # noqa: F401

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel, scoring_server

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
FLOATS = IMAGES / 255


@pytest.fixture(scope="module")
def expected(model: Path) -> np.ndarray:  # noqa: F811
    """What the model itself says of the images."""
    return np.asarray(model_file.load(model)(IMAGES))


@pytest.fixture(scope="module")
def served(model: Path, made_store: Path) -> PyFuncModel:  # noqa: F811
    client = store.client(made_store)
    run = client.create_run(store.experiment(client, "served")).info.run_id
    logged = mlflow_model.log(client, run, model_file.load(model), IMAGES[:1])
    with store.as_default(client):
        return mlflow.pyfunc.load_model(f"models:/{logged}")


@pytest.fixture(scope="module")
def server(served: PyFuncModel) -> Any:
    """MLflow's scoring server of the model, as `mlflow models serve` starts it."""
    with warnings.catch_warnings(action="ignore"):  # it names another package for its requests
        from starlette.testclient import TestClient
    return TestClient(scoring_server.init(served))


@pytest.mark.parametrize(
    "images",
    [
        IMAGES,
        IMAGES.astype(np.int64),
        IMAGES.tolist(),
        pd.DataFrame({"image": list(IMAGES.reshape(2, -1))}),
    ],
)
def test_integers_of_0_to_255_are_answered_as_by_the_model_itself(
    served: PyFuncModel, expected: np.ndarray, images: Any
) -> None:
    np.testing.assert_allclose(np.asarray(served.predict(images)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (FLOATS, r"found float64 \(if they are of 0 to 1: times 255, rounded\)"),
        (FLOATS.tolist(), "found float64"),
        (pd.DataFrame({"image": list(FLOATS.reshape(2, -1))}), "found float64"),
        (pd.DataFrame({"a": [1], "b": [2]}), "a data frame of 2 columns"),
        (IMAGES + np.int64(1), "found values from 1 to 256"),
        (IMAGES - np.int64(1), "found values from -1 to 254"),
        (IMAGES[:, :31], r"an array of shape \(2, 31, 32, 3\)"),
        ([[1, 2], [3]], "inhomogeneous shape"),
        ([], r"an array of shape \(0,\)"),
    ],
)
def test_anything_else_is_refused(served: PyFuncModel, images: Any, message: str) -> None:
    with pytest.raises(MlflowException, match=rf"want images of shape \(N, 32, 32, 3\).*{message}"):
        served.predict(images)


def test_the_server_answers_integers_and_refuses_fractions(
    server: Any, expected: np.ndarray
) -> None:
    answer = server.post("/invocations", json={"inputs": IMAGES.tolist()})
    assert answer.status_code == 200
    np.testing.assert_allclose(answer.json()["predictions"], expected, atol=1e-6)
    refused = server.post("/invocations", json={"inputs": FLOATS.tolist()})
    assert refused.status_code == 400
    assert "integers from 0 to 255: found float64" in refused.json()["message"]


def test_the_server_has_no_other_way_by_which_fractions_become_black(server: Any) -> None:
    frame = pd.DataFrame({"image": FLOATS.reshape(2, -1).tolist()})
    frame.to_parquet(stream := io.BytesIO())
    requests: list[dict[str, Any]] = [
        {"json": {"instances": FLOATS.tolist()}},
        {"json": {"dataframe_split": frame.to_dict("split")}},
        {"json": {"dataframe_records": frame.to_dict("records")}},
        {
            "headers": {"Content-Type": scoring_server.CONTENT_TYPE_PARQUET},
            "content": stream.getvalue(),
        },
    ]
    assert [server.post("/invocations", **one).status_code for one in requests] == [400] * 4


def test_the_signature_still_says_what_the_model_takes(served: PyFuncModel) -> None:
    (taken,) = served.metadata.get_input_schema().inputs
    assert (taken.type, taken.shape) == (np.dtype("uint8"), (-1, 32, 32, 3))
