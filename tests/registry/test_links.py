"""Where people look at what is registered."""

import os
import shutil
from pathlib import Path

import pytest

from resnet.registry import links, store
from resnet.registry.ledger import ledger
from resnet.registry.store import Client
from resnet.registry.tracking import run_artifacts
from resnet.system import addresses

VIEW = "?workflowType=machine_learning"


@pytest.fixture
def client(empty_store: Path, tmp_path: Path) -> Client:
    shutil.copytree(empty_store / ".state", tmp_path / ".state")
    return store.client(tmp_path)


def test_every_link_opens_the_view_in_which_trainings_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESNET_MLFLOW_PORT", "5001")
    own = "http://127.0.0.1:5001"
    assert links.link(tmp_path, "experiments/1/runs") == f"{own}/#/experiments/1/runs{VIEW}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ann:pass@mlflow.example.org/x/")
    assert links.link(tmp_path) == f"https://mlflow.example.org/x/#/experiments{VIEW}"


def test_a_link_to_a_server_that_is_not_up_says_how_to_start_it(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setenv("RESNET_MLFLOW_PORT", str(addresses.free_port()))
    assert links.how_to_open(tmp_path) == "'make ui' starts the pages"
    monkeypatch.setenv("RESNET_MLFLOW_PORT", server.rpartition(":")[2])
    assert links.how_to_open(tmp_path) == ""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert links.how_to_open(tmp_path) == ""  # what is not ours, 'make ui' does not start


def test_the_overview_links_each_experiment_and_each_model_and_nothing_else(
    tmp_path: Path, client: Client
) -> None:
    trainings = run_artifacts.experiment(client, "net")
    events = ledger._experiment_id(client, "net")
    client.create_registered_model("net")
    client.create_registered_model("net.lock")
    client.create_experiment("somebody else's")
    assert links.overview(tmp_path, client) == [
        f"experiment net: {links.link(tmp_path, f'experiments/{trainings}/runs')}",
        f"experiment net-ledger: {links.link(tmp_path, f'experiments/{events}/runs')}",
        f"model net: {links.link(tmp_path, 'models/net')}",
    ]


def test_an_experiment_has_a_sentence_about_it_also_one_of_an_earlier_release(
    tmp_path: Path, client: Client
) -> None:
    place = store.local_artifacts(tmp_path) / "net"
    before = client.create_experiment("net", artifact_location=place.as_uri())
    assert run_artifacts.experiment(client, "net") == before
    for experiment in (before, ledger._experiment_id(client, "net")):
        note = client.get_experiment(experiment).tags[store.NOTE]
        assert "of net" in note
        assert note.endswith(".")
