"""Which servers are used, the user's or those on the project's own ports, and who answers."""

import os
import socket
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from resnet.errors import PipelineError

HOST = "127.0.0.1"
PREFECT_PORT = 4200
MLFLOW_PORT = 5000
PREFECT_API = f"http://{HOST}:{PREFECT_PORT}/api"  # of the project's own server
MLFLOW_UI = f"http://{HOST}:{MLFLOW_PORT}"
VARIABLES = ("PREFECT_API_URL", "MLFLOW_TRACKING_URI")  # with which the user names others


def user_server(variable: str) -> str | None:
    """The address of the server that the variable names; MLflow's may name a file instead."""
    value = os.environ.get(variable, "")
    return value if value.startswith(("http://", "https://")) else None


def running_prefect() -> str | None:
    """The API address of the user's Prefect server, else of the project's; None if neither runs.

    Raises PipelineError if the user has named a server that does not answer.
    """
    api = os.environ.get("PREFECT_API_URL")
    if api and not answers(f"{api}/health"):
        raise PipelineError(
            f"the Prefect server {api} (PREFECT_API_URL) does not answer: start it, or unset the "
            "variable to use the project's own"
        )
    if api:
        return api
    return PREFECT_API if is_prefect(PREFECT_API) else None


def answers(address: str) -> bool:
    """Whether an HTTP server answers at `address` within a few seconds."""
    status, _ = _get(address)
    return 0 < status < 500  # it may ask for a password, for example


def is_prefect(api: str) -> bool:
    """Whether a Prefect server listens at `api`, and not some other program."""
    return _get(f"{api}/health") == (200, b"true")


def is_taken(port: int) -> bool:
    """Whether a program listens on the port of the loopback address."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def free_port() -> int:
    """A port of the loopback address on which no program listens."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _get(address: str) -> tuple[int, bytes]:
    """The status and the body of the answer from `address`; 0 and nothing without an answer."""
    try:
        with urlopen(address, timeout=3) as response:  # noqa: S310  (loopback, or the user's own)
            return response.status, response.read()
    except HTTPError as error:
        return error.code, b""
    except (URLError, HTTPException, OSError, ValueError):
        return 0, b""
