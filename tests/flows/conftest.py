"""A checkout with a real Prefect server, and a flow that sleeps."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL, temporary_settings

from resnet import params
from resnet.checkout import project
from resnet.checkout.identity import identity
from resnet.operations import servers
from resnet.system import addresses
from tests.support import REPOSITORY

NAP = """
import os, sys
from prefect import flow
from flows.tasks import enter_checkout
from resnet.system import processes

@flow(name="nap")
def nap():
    root = enter_checkout()
    stage = [sys.executable, "-c", "import time; time.sleep(600)", str(root)]
    processes.stream(stage, root, os.environ, print)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("params.yaml", "dvc.yaml", "prefect.yaml"):
        shutil.copy(REPOSITORY / name, folder)
    one_at_a_time = params.merge(params.read(folder), folder, None, ["runtime.worker_runs=1"])
    (folder / "params.yaml").write_text(params.dump(one_at_a_time))
    (folder / "nap.py").write_text(NAP)
    return folder


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[tuple[ExitStack, str]]:
    """A server that looks every second for leases that are over; the stack ends it."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS", "1")
        api = stack.enter_context(servers.prefect_server(root, addresses.free_port()))
        patch.setenv("PREFECT_API_URL", api)
        with temporary_settings({PREFECT_API_URL: api}):
            yield stack, api


@pytest.fixture(scope="module")
def client(server: tuple[ExitStack, str]) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="resnet", type="process"))
        yield client


@pytest.fixture(scope="module")
def flow_id(client: SyncPrefectClient) -> UUID:
    return client.create_flow_from_name("watch")


@pytest.fixture(scope="module")
def tag(root: Path) -> str:
    """Of the checkout's deployments."""
    return f"checkout:{identity(root)}"


@pytest.fixture(scope="module")
def env(root: Path) -> dict[str, str]:
    """Of a shell in the checkout."""
    return {
        **project.environment(root),
        "PYTHONPATH": str(REPOSITORY),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
