"""Which servers are meant, by the user's variables or the project's own ports, and who answers."""

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
VARIABLES = ("PREFECT_API_URL", "MLFLOW_TRACKING_URI")  # by which the user names others


def named(variable: str) -> str | None:
    """The server's address that the variable holds; MLflow's can hold a file's, too."""
    value = os.environ.get(variable, "")
    return value if value.startswith(("http://", "https://")) else None


def running_prefect() -> str | None:
    """The API's address of the user's Prefect server, else of the project's; None if neither is up.

    Raises PipelineError where the user has named a server that does not answer.
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
    """Whether an HTTP server answers at `address`, within some seconds."""
    status, _ = _get(address)
    return 0 < status < 500  # it may want a password, say


def is_prefect(api: str) -> bool:
    """Whether what listens at `api` is a Prefect server, and not somebody else's."""
    return _get(f"{api}/health") == (200, b"true")


def is_taken(port: int) -> bool:
    """Whether somebody listens on the port of the loopback address."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _get(address: str) -> tuple[int, bytes]:
    """The status and the body of what is at `address`; 0 and nothing where there is no answer."""
    try:
        with urlopen(address, timeout=3) as response:  # noqa: S310  (loopback, or the user's own)
            return response.status, response.read()
    except HTTPError as error:
        return error.code, b""
    except (URLError, HTTPException, OSError, ValueError):
        return 0, b""
