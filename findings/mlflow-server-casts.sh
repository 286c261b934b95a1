#!/bin/sh
# MLflow's scoring server casts a request to the signature's type; pyfunc refuses it.
#
# Guess:    a model whose signature is a uint8 tensor refuses floats wherever it
#           runs: the schema check is the model's, and the server calls the model.
# Versions: mlflow 3.17.2, numpy 2.4.6, fastapi 0.149.0.
# Happens:  pyfunc's predict raises for a float array ("dtype of input float64 does
#           not match expected dtype uint8"). The server first makes the JSON an
#           array of the signature's type, and cuts off what follows the point: an
#           image scaled to 0..1 by mistake reaches the model as zeros (its full
#           white as 1), and the answer is 200. 300 or -1 is refused with 400.
# Seen:     pyfunc, [0.7, 254.9]: MlflowException
#           server, [0.7, 254.9]: 200, the model got uint8 [0, 254]
# Remedy:   a signature with the type that clients send, and a check in the model.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check mlflow==3.17.2 \
    numpy==2.4.6 fastapi==0.149.0 SQLAlchemy==2.0.58 httpx==0.28.1
export MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true
cd "$tmp"
cat > casts.py <<'PY'
import logging

import mlflow
import numpy as np
from fastapi.testclient import TestClient
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.pyfunc import scoring_server
from mlflow.types import Schema, TensorSpec

logging.disable(logging.WARNING)


class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: np.ndarray, params=None):
        return {"dtype": str(model_input.dtype), "values": model_input.ravel().tolist()}


print("mlflow", mlflow.__version__)
signature = ModelSignature(Schema([TensorSpec(np.dtype("uint8"), (-1, 2))]))
mlflow.pyfunc.save_model(
    "model", python_model=Echo(), signature=signature, pip_requirements=[]
)
model = mlflow.pyfunc.load_model("model")
print("pyfunc, uint8 [1, 2]:", model.predict(np.array([[1, 2]], np.uint8)))
try:
    model.predict(np.array([[0.7, 254.9]]))
    raise AssertionError("behaviour changed")
except MlflowException as error:
    print("pyfunc, [0.7, 254.9]:", str(error).split("Error: ")[-1])
    assert "does not match expected dtype" in str(error), "behaviour changed"
client = TestClient(scoring_server.init(model))
for key in "inputs", "instances":
    reply = client.post("/invocations", json={key: [[0.7, 254.9]]})
    got = reply.json()["predictions"]
    print(f"server, {key} [0.7, 254.9]:", reply.status_code, got)
    assert reply.status_code == 200, "behaviour changed"
    assert got == {"dtype": "uint8", "values": [0, 254]}, "behaviour changed"
reply = client.post("/invocations", json={"inputs": [[300, -1]]})
print("server, inputs [300, -1]:", reply.status_code, reply.json()["message"])
assert reply.status_code == 400, "behaviour changed"
PY
venv/bin/python -W ignore casts.py
