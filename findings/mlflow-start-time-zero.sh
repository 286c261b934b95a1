#!/bin/sh
# An MLflow run that is created with start_time=0 starts now.
#
# Guess:    start_time is optional, in milliseconds since 1970: 0 is the first moment
#           of 1970, None is now, and the two are told apart.
# Versions: mlflow 3.17.2, SQLAlchemy 2.0.58.
# Happens:  0 is false, and becomes the present time; 1 is kept. A metric's timestamp
#           of 0 is kept as 0 by the same client.
# Seen:     start_time=1: 1     start_time=0: now     metric's timestamp=0: 0
# Remedy:   an unknown start that must sort first is 1, not 0.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check mlflow==3.17.2 SQLAlchemy==2.0.58
export MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true
cd "$tmp"
cat > zero.py <<'PY'
import logging
import time

import mlflow
from mlflow import MlflowClient

logging.disable(logging.WARNING)
print("mlflow", mlflow.__version__)
client = MlflowClient("sqlite:///m.db")
experiment = client.create_experiment("e")
before = int(time.time() * 1000)
one = client.create_run(experiment, start_time=1).info.start_time
zero = client.create_run(experiment, start_time=0).info
client.log_metric(zero.run_id, "m", 1.0, timestamp=0)
(metric,) = client.get_metric_history(zero.run_id, "m")
print("start_time=1:", one)
print("start_time=0:", "now" if zero.start_time >= before else zero.start_time)
print("metric's timestamp=0:", metric.timestamp)
assert (one, metric.timestamp) == (1, 0), "behaviour changed"
assert zero.start_time >= before, "behaviour changed"
PY
venv/bin/python -W ignore zero.py
