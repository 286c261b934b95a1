#!/bin/sh
# MLflow: the version of a registered model is an int beside a database, and a str
# through a server.
#
# Guess:    ModelVersion.version is a str, as the class and its property are
#           annotated, whatever the tracking URI.
# Versions: mlflow 3.17.2, SQLAlchemy 2.0.58, Flask 3.1.3.
# Happens:  the same calls give 1 with sqlite:// and "1" with http://, in
#           create_model_version, get_model_version, search_model_versions and the
#           aliases' mapping. `version == "1"` works in production and is never
#           true in tests on a file, sorting puts "10" before "2" only behind a
#           server, and a type checker sees nothing of it.
# Seen:     sqlite: int int int int
#           http:   str str str str
# Remedy:   int(version) at the border of your own code.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check mlflow==3.17.2 \
    SQLAlchemy==2.0.58 Flask==3.1.3
export MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true
cd "$tmp"
cat > versions.py <<'PY'
import logging
import socket
import subprocess
import sys
import time
import typing
import urllib.request

import mlflow
from mlflow.entities.model_registry import ModelVersion

logging.disable(logging.WARNING)


def types(uri):
    client = mlflow.MlflowClient(uri, uri)
    client.create_registered_model("net")
    made = client.create_model_version("net", "s3://bucket/net")
    client.set_registered_model_alias("net", "champion", "1")
    found = client.get_model_version("net", "1")
    searched = client.search_model_versions("name = 'net'")[0]
    alias = client.get_registered_model("net").aliases["champion"]
    values = made.version, found.version, searched.version, alias
    return [type(value).__name__ for value in values]


print("mlflow", mlflow.__version__)
print("annotated:", typing.get_type_hints(ModelVersion.version.fget)["return"].__name__)
local = types("sqlite:///local.db")
print("sqlite:", *local)
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
uri = f"http://127.0.0.1:{port}"
server = subprocess.Popen(
    [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", "sqlite:///server.db",
     "--default-artifact-root", "./artifacts", "--port", str(port), "--workers", "1"],
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
try:
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=1)
            break
        except OSError:
            time.sleep(1)
    remote = types(uri)
finally:
    server.terminate()
    server.wait()
print("http:  ", *remote)
assert set(local) == {"int"} and set(remote) == {"str"}, "behaviour changed"
PY
venv/bin/python -W ignore versions.py
