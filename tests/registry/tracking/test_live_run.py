"""A training that MLflow shows while it runs."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from resnet import params
from resnet.registry import store
from resnet.registry.tracking.live_run import LiveRun
from tests.support import REPOSITORY

ROW = {"epoch": 1, "step": 10, "learning_rate": 0.1, "train_loss": 2.0}
KILLED = """
import os, signal, sys
from pathlib import Path
from resnet import params
from resnet.registry.tracking.live_run import LiveRun
LiveRun(Path(sys.argv[1]), params.load(Path(sys.argv[2]))).started(20, Path(sys.argv[1]), "a key")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_whose_training_was_killed_is_ended_by_the_next_one_that_knows_nothing_of_it(
    made_store: Path, tmp_path: Path, parameters: params.Params
) -> None:
    repository = REPOSITORY
    words = [sys.executable, "-c", KILLED, str(made_store), str(repository)]
    assert subprocess.run(words, cwd=repository, check=False).returncode == -9
    client = store.client(made_store)
    experiment = store.experiment(client, parameters.model_name)
    (killed,) = client.search_runs([experiment])
    assert killed.info.status == "RUNNING"

    live = LiveRun(made_store, parameters)
    live.started(20, tmp_path, "a key")
    live.epoch(ROW)
    live.failed("the loss is not a number")
    assert client.get_run(killed.info.run_id).info.status == "KILLED"
    (run,) = client.search_runs([experiment], "attributes.status = 'FAILED'")
    assert run.data.tags["failure"] == "the loss is not a number"
    assert run.data.metrics["train_loss"] == 2.0
    assert run.data.params["net.depth"] == str(parameters.net.depth)


def test_a_training_that_is_resumed_resumes_its_run(
    made_store: Path, tmp_path: Path, parameters: params.Params
) -> None:
    first = LiveRun(made_store, parameters)
    first.started(20, tmp_path, "a key")
    first.epoch(ROW)
    first.stopped("interrupted")
    client, noted = store.client(made_store), (tmp_path / "mlflow-run").read_text()
    run = client.get_run(noted)
    assert (run.info.status, run.data.tags["stopped"]) == ("KILLED", "interrupted")

    second = LiveRun(made_store, parameters)
    second.started(20, tmp_path, "a key")
    run = client.get_run(noted)
    assert run.info.status == "RUNNING"
    assert "stopped" not in run.data.tags
    second.epoch(ROW)  # made again, from a checkpoint before it
    second.epoch({**ROW, "epoch": 2, "step": 20})
    second.finished("0" * 64)
    assert client.get_run(noted).info.status == "FINISHED"
    assert [point.step for point in client.get_metric_history(noted, "train_loss")] == [10, 20]
    assert (tmp_path / "mlflow-run").read_text() == noted


def test_a_run_that_is_no_longer_in_the_store_is_not_resumed(
    made_store: Path, tmp_path: Path, parameters: params.Params
) -> None:
    client, note = store.client(made_store), tmp_path / "mlflow-run"
    LiveRun(made_store, parameters).started(20, tmp_path, "a key")
    deleted = note.read_text()
    client.delete_run(deleted)
    for noted in (deleted, "0" * 32):
        note.write_text(noted)
        LiveRun(made_store, parameters).started(20, tmp_path, "a key")
        assert note.read_text() != noted
        assert client.get_run(note.read_text()).info.status == "RUNNING"


def test_a_training_that_fails_before_its_first_step_makes_no_run(
    made_store: Path, parameters: params.Params
) -> None:
    client = store.client(made_store)
    experiment = store.experiment(client, parameters.model_name)
    before = len(client.search_runs([experiment]))
    LiveRun(made_store, parameters).failed("less than one batch")
    assert len(client.search_runs([experiment])) == before


def test_a_server_that_is_gone_is_reported_once_and_training_continues(
    tmp_path: Path,
    parameters: params.Params,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    began = time.monotonic()
    live = LiveRun(tmp_path, parameters)
    live.started(20, tmp_path, "a key")
    live.epoch(ROW)
    live.finished("0" * 64)
    assert capsys.readouterr().err.count("MLflow no longer follows this training") == 1
    assert time.monotonic() - began < 30
