"""The Prefect server that commands talk to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from resnet.errors import PipelineError, UnreachableError
from resnet.system import addresses

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.filters import FlowRunFilter

SERVER_ERROR = 500  # this HTTP status and those above it are failures of the server's own


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
    """A client of the Prefect server at `api`.

    Raises UnreachableError if the server stops answering in the block, or fails.
    """
    os.environ["PREFECT_API_URL"] = api  # for child processes, and for Prefect when it is imported
    from httpx import HTTPError, HTTPStatusError
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    try:
        # It may have been imported before, with another server.
        with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
            yield client
    except HTTPError as error:
        if isinstance(error, HTTPStatusError) and error.response.status_code < SERVER_ERROR:
            raise  # it refuses what it was asked
        raise UnreachableError(
            f"Prefect's server at {api} has stopped answering ({error!r}): start it, and run this "
            "again"
        ) from error


def where(**conditions: Any) -> "FlowRunFilter":
    """A filter of flow runs, by conditions as Prefect's API has them: `id={"any_": […]}`."""
    from prefect.client.schemas.filters import FlowRunFilter

    return FlowRunFilter.model_validate(conditions)
