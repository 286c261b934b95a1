"""A training that is followed while it runs."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from resnet import params
from resnet.registry import store
from resnet.registry.live import LiveRun

ROW = {"epoch": 1, "step": 10, "learning_rate": 0.1, "train_loss": 2.0}
KILLED = """
import os, signal, sys
from pathlib import Path
from resnet import params
from resnet.registry.live import LiveRun
LiveRun(Path(sys.argv[1]), params.load(Path(sys.argv[2]))).started(20, 0)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_whose_training_was_killed_is_ended_by_the_next_training(
    made_store: Path, chosen: params.Params
) -> None:
    repository = Path(__file__).parents[2]
    words = [sys.executable, "-c", KILLED, str(made_store), str(repository)]
    assert subprocess.run(words, cwd=repository, check=False).returncode == -9
    client = store.client(made_store)
    experiment = store.experiment(client, chosen.model_name)
    (killed,) = client.search_runs([experiment])
    assert killed.info.status == "RUNNING"

    live = LiveRun(made_store, chosen)
    live.started(20, 0)
    live.epoch(ROW)
    live.failed("the loss is not a number")
    assert client.get_run(killed.info.run_id).info.status == "KILLED"
    (run,) = client.search_runs([experiment], "attributes.status = 'FAILED'")
    assert run.data.tags["failure"] == "the loss is not a number"
    assert run.data.metrics["train_loss"] == 2.0
    assert run.data.params["net.depth"] == str(chosen.net.depth)


def test_a_server_that_is_gone_is_said_once_and_training_goes_on(
    tmp_path: Path,
    chosen: params.Params,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    began = time.monotonic()
    live = LiveRun(tmp_path, chosen)
    live.started(20, 0)
    live.epoch(ROW)
    live.finished("0" * 64)
    assert capsys.readouterr().err.count("MLflow does not follow this training any more") == 1
    assert time.monotonic() - began < 30
