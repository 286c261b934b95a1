"""The Prefect server that commands talk to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from resnet.errors import PipelineError
from resnet.system import addresses

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


def require_running() -> str:
    """The API address of the user's server, else of the project's.

    Raises PipelineError if it does not answer.
    """
    api = addresses.running_prefect()
    if api is None:
        own = addresses.own_prefect()
        raise PipelineError(f"no Prefect server is running at {own}: start 'make ui'")
    return api


@contextmanager
def connect(api: str) -> Iterator["SyncPrefectClient"]:
    """A client of the Prefect server at `api`."""
    os.environ["PREFECT_API_URL"] = api  # Prefect reads it when it is imported
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        yield client
