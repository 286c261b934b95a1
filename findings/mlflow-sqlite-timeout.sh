#!/bin/sh
# `?timeout=` in an MLflow SQLite address is read and then overridden.
#
# Guess:    with sqlite:///m.db?timeout=1 a write to a database that another process
#           holds fails after a second, and with ?timeout=60 after a minute: the
#           part after the question mark goes to sqlite3.connect, as SQLAlchemy says.
# Versions: mlflow 3.17.2, SQLAlchemy 2.0.58.
# Happens:  it does go there, but MLflow then sets PRAGMA busy_timeout = 20000 on each
#           connection: every address waits 20 seconds, the shorter and the longer.
# Seen:     timeout=1: database is locked after 20 s
#           timeout=30: database is locked after 20 s
# Remedy:   repeat the call; the address cannot say how long to wait.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check mlflow==3.17.2 SQLAlchemy==2.0.58
export MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true
cd "$tmp"
cat > locked.py <<'PY'
import logging
import sqlite3
import time

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

logging.disable(logging.WARNING)
print("mlflow", mlflow.__version__)
MlflowClient("sqlite:///m.db").create_experiment("made before")
holder = sqlite3.connect("m.db", isolation_level=None)
holder.execute("BEGIN IMMEDIATE")
for seconds in 1, 30:
    client = MlflowClient(f"sqlite:///m.db?timeout={seconds}")
    start = time.monotonic()
    try:
        client.create_experiment(f"while it is held {seconds}")
        raise AssertionError("behaviour changed")
    except MlflowException as error:
        assert "database is locked" in str(error), "behaviour changed"
    waited = time.monotonic() - start
    print(f"timeout={seconds}: database is locked after {waited:.0f} s")
    assert 19 < waited < 27, "behaviour changed"
PY
venv/bin/python -W ignore locked.py
