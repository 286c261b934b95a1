"""Prefect's and MLflow's servers on loopback, over the state of this checkout."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from resnet import processes, project
from resnet.errors import PipelineError

HOST = "127.0.0.1"
PREFECT_PORT = 4200
MLFLOW_PORT = 5000
START_SECONDS = 120.0


def serve(root: Path) -> None:
    """Both servers, until this process is interrupted. Prints their addresses.

    A server that the user has named by its variable is not started, but named. Raises PipelineError
    where a port is taken, or MLflow's variable names what cannot be served.
    """
    with ExitStack() as stack:

        @cache  # asked for while Prefect's server starts, and where that is not started
        def mlflow() -> str:
            return _named("MLFLOW_TRACKING_URI") or stack.enter_context(
                mlflow_server(root, MLFLOW_PORT)
            )

        prefect = _named("PREFECT_API_URL") or stack.enter_context(
            prefect_server(root, PREFECT_PORT, meanwhile=lambda api: mlflow())
        )
        print(f"Prefect: {prefect.removesuffix('/api')}")
        print(f"MLflow:  {mlflow()}")
        print("Ctrl-C stops both.", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print()


def _named(variable: str) -> str | None:
    """The server's address that the variable holds; MLflow's can hold a file's, too."""
    value = os.environ.get(variable, "")
    return value if value.startswith(("http://", "https://")) else None


@contextmanager
def prefect_server(
    root: Path, port: int, meanwhile: Callable[[str], object] | None = None
) -> Iterator[str]:
    """A Prefect server with the checkout's history; its API's address.

    Until it answers, which takes seconds, `meanwhile` is called with that address.
    """
    words = ["prefect", "server", "start", "--host", HOST, "--port", str(port)]
    api = f"http://{HOST}:{port}/api"
    env = {"PREFECT_API_URL": api}
    with _server("Prefect", root, port, words, env) as wait:
        if meanwhile:
            meanwhile(api)
        wait(f"{api}/health")
        yield api


@contextmanager
def mlflow_server(root: Path, port: int) -> Iterator[str]:
    """An MLflow server over the checkout's own store, or the SQLite file of the user's variable.

    Its address.
    """
    from resnet.registry import store

    uri, artifacts = store.servable(root)
    words = [
        *("mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", uri),
        # The folder itself, not the server's proxy: the store must be readable without the server.
        *("--default-artifact-root", artifacts.as_uri()),
        *("--artifacts-destination", str(artifacts)),
    ]
    address = f"http://{HOST}:{port}"
    with _server("MLflow", root, port, words, {}) as wait:
        wait(f"{address}/health")
        yield address


@contextmanager
def _server(
    name: str, root: Path, port: int, words: list[str], env: dict[str, str]
) -> Iterator[Callable[[str], None]]:
    """A server process, and what waits until it answers at an address.

    Its output goes to .state/NAME-server.log. It is ended with its children at the end.
    """
    if _taken(port):
        raise PipelineError(
            f"port {port} of {HOST}, which {name}'s server wants, is taken: is it running already? "
            "End the process that listens there, and try again"
        )
    log = root / project.STATE / f"{name.lower()}-server.log"
    log.parent.mkdir(exist_ok=True)
    env = {**project.environment(root), **env}
    Path(env["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=root,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the flow; this ends below
        )
    try:
        yield lambda health: _wait(name, process, health, log)
    finally:
        processes.end(process.pid)
        process.wait()


def _wait(name: str, process: subprocess.Popen[bytes], health: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise PipelineError(f"{name}'s server ended with {process.returncode}: see {log}")
        if answers(health):
            return
        time.sleep(0.5)
    raise PipelineError(f"{name}'s server did not answer in {START_SECONDS:.0f} s: see {log}")


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def answers(address: str) -> bool:
    """Whether an HTTP server answers at `address`, within some seconds."""
    status, _ = _get(address)
    return 0 < status < 500  # it may want a password, say


def is_prefect(api: str) -> bool:
    """Whether what listens at `api` is a Prefect server, and not somebody else's."""
    return _get(f"{api}/health") == (200, b"true")


def _get(address: str) -> tuple[int, bytes]:
    """The status and the body of what is at `address`; 0 and nothing where there is no answer."""
    try:
        with urlopen(address, timeout=3) as response:  # noqa: S310  (loopback, or the user's own)
            return response.status, response.read()
    except HTTPError as error:
        return error.code, b""
    except (URLError, HTTPException, OSError, ValueError):
        return 0, b""


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
