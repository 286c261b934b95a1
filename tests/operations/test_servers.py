"""The project's servers start over the checkout's state, answer, and are gone afterwards."""

import signal
import socket
import subprocess
import sys

import psutil
import pytest

from resnet.errors import PipelineError
from resnet.operations import servers
from resnet.registry import store
from resnet.system import addresses, processes

UI = """
import sys
from pathlib import Path
from resnet.operations import servers
from resnet.system import addresses
addresses.PREFECT_PORT, addresses.MLFLOW_PORT = map(int, sys.argv[2:])
servers.serve(Path(sys.argv[1]))
"""


def test_the_ui_prints_both_addresses_serves_a_named_sqlite_file_and_ends_by_ctrl_c(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/elsewhere/mlflow.db")
    ports = [addresses.free_port() for _ in range(2)]
    command = [sys.executable, "-c", UI, str(tmp_path), *map(str, ports)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as ui:
        try:
            lines = [ui.stdout.readline().strip() for _ in range(3)]
            prefect, mlflow = (f"http://127.0.0.1:{port}" for port in ports)
            assert lines == [f"Prefect: {prefect}", f"MLflow:  {mlflow}", "Ctrl-C stops both."]
            assert addresses.is_prefect(f"{prefect}/api")
            from mlflow import MlflowClient

            MlflowClient(mlflow).create_experiment("made-by-the-server")
            ui.send_signal(signal.SIGINT)
            assert ui.wait(60) == 0
            assert not any(map(addresses.answers, (f"{prefect}/api/health", f"{mlflow}/health")))
        finally:
            processes.end(ui.pid)
    assert not (tmp_path / ".state" / "mlflow").exists()
    assert store.client(tmp_path).get_experiment_by_name("made-by-the-server") is not None


def test_where_one_server_cannot_start_the_other_is_ended(tmp_path, monkeypatch):
    with socket.socket() as other:
        other.bind((addresses.HOST, 0))
        other.listen()
        monkeypatch.setattr(addresses, "PREFECT_PORT", port := addresses.free_port())
        monkeypatch.setattr(addresses, "MLFLOW_PORT", other.getsockname()[1])
        with pytest.raises(PipelineError, match="which MLflow's server needs, is taken"):
            servers.serve(tmp_path)
    assert (tmp_path / ".state" / "prefect-server.log").exists()  # it had begun
    children = psutil.Process().children(recursive=True)  # other tests have servers, too
    assert not any(str(port) in child.cmdline() for child in children)


def test_what_is_neither_a_file_nor_a_server_is_not_served(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "databricks")
    with (
        pytest.raises(PipelineError, match="is databricks, which is neither a SQLite file"),
        servers.mlflow_server(tmp_path, addresses.free_port()),
    ):
        pass


def test_a_taken_port_is_reported_before_anything_starts(tmp_path):
    with socket.socket() as other:
        other.bind((addresses.HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(PipelineError, match=f"port {port} of 127.0.0.1.* is taken"),
            servers.prefect_server(tmp_path, port),
        ):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_ends_at_once_names_its_log(tmp_path):
    with (
        pytest.raises(PipelineError, match="ended with 1: see .*nothing-server.log"),
        servers._server("Nothing", tmp_path, addresses.free_port(), ["no_such_module"], {}) as wait,
    ):
        wait("http://127.0.0.1:9")
    assert "no_such_module" in (tmp_path / ".state" / "nothing-server.log").read_text()
