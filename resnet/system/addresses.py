"""Which servers are used, the user's or the checkout's own, and who answers."""

import base64
import json
import os
import socket
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from resnet.errors import PipelineError
from resnet.system.network import MLFLOW_PORT, PORTS, PREFECT_PORT

HOST = "127.0.0.1"
PREFECT, MLFLOW = "PREFECT_API_URL", "MLFLOW_TRACKING_URI"  # with which the user names others
VARIABLES = (PREFECT, MLFLOW)


def port(variable: str) -> int:
    """The port of one of the checkout's own servers. Raises PipelineError if it cannot be one."""
    value = os.environ.get(variable) or str(PORTS[variable])
    if not (value.isdecimal() and 0 < int(value) < 1 << 16):
        raise PipelineError(f"{variable} is {value}: want a port, 1 to 65535, or unset it")
    return int(value)


def own_prefect() -> str:
    """The API address of the checkout's own Prefect server, whether it runs or not."""
    return f"http://{HOST}:{port(PREFECT_PORT)}/api"


def own_mlflow() -> str:
    """The address of the checkout's own MLflow server, whether it runs or not."""
    return f"http://{HOST}:{port(MLFLOW_PORT)}"


def user_server(variable: str) -> str | None:
    """The address of the server that the variable names; MLflow's may name a file instead."""
    value = os.environ.get(variable, "").rstrip("/")
    return value if value.startswith(("http://", "https://")) else None


def running_prefect() -> str | None:
    """The API address of the user's Prefect server, else of the checkout's; None if neither runs.

    Raises PipelineError if the user has named a server that does not answer, or is another.
    """
    require_named(PREFECT)
    if api := user_server(PREFECT):
        return api
    own = own_prefect()
    return own if is_prefect(own) else None


def require_named(variable: str) -> None:
    """Raise PipelineError if the server that the variable names does not answer, or is another.

    Nothing is required of a variable that is not set, nor of MLflow's if it names a file.
    """
    address = user_server(variable)
    if address:
        problem = _not_prefect(address) if variable == PREFECT else _not_mlflow(address)
    elif variable == PREFECT and (address := os.environ.get(PREFECT)):
        problem = "which is not the address of a server: name one, http://…/api"
    else:
        return
    if problem:
        raise PipelineError(
            f"{variable} is {address}, {problem}, or unset the variable for the checkout's own"
        )


def _not_prefect(api: str) -> str | None:
    """What is wrong with the address of a Prefect API, and what to do; None if nothing is."""
    status, body = _get(f"{api}/admin/version", _authorization())
    if status in (401, 403):
        return "which refuses the login: set PREFECT_API_AUTH_STRING to user:password"
    if _is_text(body) or (status and os.environ.get("PREFECT_API_KEY")):  # Prefect Cloud's differs
        return None
    if not 0 < status < 500:
        return "which does not answer: start it"
    if _is_text(_get(f"{api}/api/admin/version", _authorization())[1]):
        return f"where Prefect shows its pages: name its API, {api}/api"
    return "where a program answers that is no Prefect API: name one, http://…/api"


def _not_mlflow(address: str) -> str | None:
    """As `_not_prefect`, of an MLflow server. One that asks for a login is taken for MLflow's."""
    status, body = _get(f"{address}/health")
    if status in (401, 403) or body.strip() == b"OK":
        return None
    if not 0 < status < 500:
        return "which does not answer: start it"
    return "where a program answers that is no MLflow server: name one"


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


def _authorization() -> dict[str, str]:
    """The headers with which Prefect's clients log in."""
    login, key = (os.environ.get(f"PREFECT_API_{name}") for name in ("AUTH_STRING", "KEY"))
    if login:
        return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
    return {"Authorization": f"Bearer {key}"} if key else {}


def _is_text(body: bytes) -> bool:
    """Whether an answer is one text, as JSON: as a version is, and a page is not."""
    try:
        return isinstance(json.loads(body), str)
    except ValueError:
        return False


def _get(address: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """The status and the body of the answer from `address`; 0 and nothing without an answer."""
    try:
        request = Request(address, headers=headers or {})  # noqa: S310  (loopback, or the user's own)
        with urlopen(request, timeout=3) as response:  # noqa: S310
            return response.status, response.read()
    except HTTPError as error:
        return error.code, b""
    except (URLError, HTTPException, OSError, ValueError):
        return 0, b""
