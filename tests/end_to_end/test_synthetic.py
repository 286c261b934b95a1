"""Without CIFAR-10 and without a network: the synthetic data set if asked for, else an error.

The run is recorded by servers that want a login, which nothing may repeat.
"""

import base64
import os
import sqlite3
from contextlib import closing
from unittest.mock import patch
from urllib.parse import quote

import pytest

from resnet.operations import servers
from resnet.system import addresses
from tests.end_to_end.conftest import wait_for
from tests.support.login_proxy import login_proxy

USER, PASSWORD = "ann", "made-up s3cret@with:odd/signs"
LOGIN = f"{USER}:{PASSWORD}"
QUOTED = f"{USER}:{quote(PASSWORD, safe='')}@"
FORMS = PASSWORD.encode(), QUOTED.encode(), base64.b64encode(LOGIN.encode())
PREFECTS_DATABASE = "prefect/prefect.db", "prefect/prefect.db-wal"


@pytest.fixture(scope="module")
def bare(new_checkout):
    """A checkout with the project's own parameters, so one that wants CIFAR-10."""
    return new_checkout("quick", [])


@pytest.fixture(scope="module")
def repro(bare):
    """`dvc repro`, which asks for CIFAR-10 a quarter of a minute long, beside the other tests."""
    with bare.start("dvc", "repro") as running:
        yield running


@pytest.fixture(scope="module")
def run(bare, repro):
    """`resnet run` with logins in both servers' addresses, once the servers have told all."""
    with (
        patch.dict(os.environ, PREFECT_SERVER_API_AUTH_STRING=LOGIN),
        servers.prefect_server(bare.root, addresses.free_port()) as prefect,
        servers.mlflow_server(bare.root, addresses.free_port()) as mlflow,
        login_proxy(mlflow, LOGIN) as proxy,
    ):
        yield bare.run(
            *("resnet", "run", "--preset", "smoke", "--set", "train.steps=2", "--or-synthetic"),
            PREFECT_API_URL=prefect.replace("://", f"://{QUOTED}"),
            MLFLOW_TRACKING_URI=proxy.replace("://", f"://{QUOTED}"),
            # As a user has it who is behind a proxy: the servers on loopback are not.
            **dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9"),
            **dict.fromkeys(("no_proxy", "NO_PROXY"), ""),
        )


def test_the_synthetic_data_set_is_named_first_and_last(run):
    lines = run.stdout.splitlines()
    for line in (lines[0], lines[-1]):
        assert line.startswith("CIFAR-10 is not available")
        assert "uses the synthetic data set and registers generated-resnet" in line
    assert any(line.startswith("generated-resnet version 1") for line in lines)


def test_no_log_artifact_card_tag_parameter_event_or_database_repeats_a_login(bare, run):
    def last_event():
        with closing(sqlite3.connect(bare.root / ".state" / PREFECTS_DATABASE[0])) as database:
            ended = "select 1 from events where event = 'prefect.flow-run.Completed'"
            return database.execute(ended).fetchone()

    wait_for(last_event)
    state = bare.root / ".state"
    texts = {
        path.relative_to(state).as_posix(): path.read_bytes()
        for path in state.rglob("*")
        if path.is_file()
    }
    assert any(name.endswith("card.html") for name in texts)
    assert b"generated-resnet" in texts["mlflow/mlflow.db"]
    assert any(b"The run in MLflow" in texts.get(name, b"") for name in PREFECTS_DATABASE)
    texts["printed"] = (run.stdout + run.stderr).encode()
    assert [name for name, text in texts.items() if any(form in text for form in FORMS)] == []


def test_dvc_repro_without_cifar10_is_an_error_and_leaves_no_file(bare, repro):
    assert repro.wait(timeout=120) == 255
    assert "set CIFAR10_ARCHIVE" in (bare.root / ".state" / "started.log").read_text()
    assert [path for path in (bare.root / "data" / "raw").rglob("*") if path.is_file()] == []
