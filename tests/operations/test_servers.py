"""The project's servers start over the checkout's state, answer, and are gone afterwards."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from resnet.checkout import project
from resnet.errors import PipelineError
from resnet.operations import servers
from resnet.system import addresses, network, processes
from tests.support import REPOSITORY


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("params.yaml", "dvc.yaml", "prefect.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    return tmp_path


@pytest.fixture
def ui(checkout):
    """`resnet ui` on other ports, past a proxy that leads nowhere, over a named SQLite file."""
    ports = [str(addresses.free_port()) for _ in range(2)]
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "resnet",
            "ui",
            "--prefect-port",
            ports[0],
            "--mlflow-port",
            ports[1],
        ],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "MLFLOW_TRACKING_URI": store_of(checkout)}
        | dict.fromkeys(("http_proxy", "HTTP_PROXY"), "http://127.0.0.1:9"),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process, *(f"http://127.0.0.1:{port}" for port in ports)
        finally:
            processes.end(process.pid)


def store_of(root: Path) -> str:
    return f"sqlite:///{root}/elsewhere/mlflow.db"


def test_the_ui_prints_links_serves_a_named_sqlite_file_and_ends_by_ctrl_c(
    checkout, empty_store, ui, browse, monkeypatch
):
    process, prefect, mlflow = ui
    view = "?workflowType=machine_learning"
    expected = [
        f"Prefect: {prefect}",
        f"MLflow:  {mlflow}/#/experiments{view}",
        f"Before a 'prefect' command: export PREFECT_API_URL={prefect}/api",
        "Ctrl-C stops both.",
    ]
    assert [process.stdout.readline().rstrip() for _ in expected] == expected
    assert addresses.is_prefect(f"{prefect}/api")
    from mlflow import MlflowClient

    client = MlflowClient(mlflow)
    experiment = client.create_experiment("net", tags={"mlflow.note.content": "Trainings of net."})
    client.create_run(experiment, run_name="quick train.seed=2")
    runs = browse(f"{mlflow}/#/experiments/{experiment}/runs{view}", until="quick train.seed=2")
    first = browse(prefect, until="Switch to V2 UI")  # so it is the first one's
    assert "Trainings of net." in runs.text
    assert runs.hosts == first.hosts == {"127.0.0.1"}

    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert not any(map(addresses.answers, (f"{prefect}/api/health", f"{mlflow}/health")))
    assert not (checkout / ".state" / "mlflow").exists()
    assert MlflowClient(store_of(checkout)).get_experiment_by_name("net") is not None
    for name in network.PORTS:
        monkeypatch.delenv(name)
    env = project.environment(checkout)
    own = (f"http://127.0.0.1:{env[name]}" for name in network.PORTS)
    assert list(own) == [prefect, mlflow]


def test_damaged_ports_are_named(checkout):
    (checkout / ".state").mkdir()
    (checkout / ".state" / "ports.json").write_text("[4201]")
    with pytest.raises(PipelineError, match="ports.json does not hold the ports of 'resnet ui'"):
        project.environment(checkout)


@pytest.mark.parametrize("variable", addresses.VARIABLES)
def test_the_ui_shows_no_named_server_that_is_down(checkout, monkeypatch, variable):
    monkeypatch.setenv(variable, "http://127.0.0.1:9/api")
    with pytest.raises(PipelineError, match=f"{variable} is .*, which does not answer: start it"):
        servers.serve(checkout, {})
    assert not (checkout / ".state").exists()


@pytest.mark.parametrize("words", ["worker", "deploy", "start retrain/weekly --param seed=1"])
def test_what_needs_a_server_and_finds_none_says_so_in_one_line(checkout, words):
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "RESNET_PREFECT_PORT": "9"}
    command = [sys.executable, "-m", "resnet", *words.split()]
    done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        "error: no Prefect server is running at http://127.0.0.1:9/api: start 'make ui'\n"
    )


def test_where_one_server_cannot_start_the_other_is_ended(tmp_path, monkeypatch):
    with socket.socket() as other:
        other.bind((addresses.HOST, 0))
        other.listen()
        port, taken = addresses.free_port(), other.getsockname()[1]
        ports = {network.PREFECT_PORT: port, network.MLFLOW_PORT: taken}
        monkeypatch.setattr(os, "environ", os.environ.copy())
        with pytest.raises(PipelineError, match="which MLflow's server needs, is taken"):
            servers.serve(tmp_path, ports)
    assert not (tmp_path / ".state" / "ports.json").exists()
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
