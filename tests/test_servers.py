"""The project's servers start over the checkout's state, answer, and are gone afterwards."""

import socket

import pytest

from resnet import servers
from resnet.errors import PipelineError
from resnet.registry import store


def test_the_mlflow_server_shows_the_checkouts_own_store(tmp_path):
    store.experiment(store.client(tmp_path), "made-before")
    with servers.mlflow_server(tmp_path, servers.free_port()) as address:
        from mlflow import MlflowClient

        assert MlflowClient(address).get_experiment_by_name("made-before") is not None
    assert not servers.answers(f"{address}/health")


def test_a_taken_port_is_told_before_anything_starts(tmp_path):
    with socket.socket() as other:
        other.bind((servers.HOST, 0))
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
        servers._server("Nothing", tmp_path, servers.free_port(), ["no_such_module"], {}) as wait,
    ):
        wait("http://127.0.0.1:9")
    assert "no_such_module" in (tmp_path / ".state" / "nothing-server.log").read_text()
