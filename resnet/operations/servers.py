"""Prefect's and MLflow's servers on loopback, over the state of this checkout."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from resnet.checkout import project
from resnet.errors import PipelineError
from resnet.messages.redaction import redact
from resnet.system import addresses, files, network, processes

START_SECONDS = 120.0
PREFECT_TOML = (
    f"http://{addresses.HOST}:{network.PORTS[network.PREFECT_PORT]}/api"  # the address there
)


def serve(root: Path, ports: Mapping[str, int | None]) -> None:
    """Run both servers until this process is interrupted. Prints their addresses.

    `ports`, by the names of their variables, are this checkout's from now on; those that are None
    stay. A server that the user has named by its variable is not started, only its address is
    printed. Raises PipelineError if that one does not answer, a port is taken, or MLflow's variable
    names what cannot be served.
    """
    for variable in addresses.VARIABLES:
        addresses.require_named(variable)
    given = _use(ports)
    with ExitStack() as stack:

        @cache  # it is called while Prefect's server starts, and again below
        def mlflow() -> str:
            return addresses.user_server(addresses.MLFLOW) or stack.enter_context(
                mlflow_server(root, addresses.port(network.MLFLOW_PORT))
            )

        prefect = addresses.user_server(addresses.PREFECT) or stack.enter_context(
            prefect_server(
                root, addresses.port(network.PREFECT_PORT), meanwhile=lambda api: mlflow()
            )
        )
        mlflow()
        _remember(root, given)
        _print_addresses(root, prefect)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print()


def _print_addresses(root: Path, prefect: str) -> None:
    from resnet.registry import links, store

    print(redact(f"Prefect: {prefect.removesuffix('/api')}"))
    print(f"MLflow:  {links.link(root)}")
    for line in links.overview(root, store.client(root)):
        print(f"  {line}")
    if prefect == addresses.own_prefect() != PREFECT_TOML:
        print(f"Before a 'prefect' command: export {addresses.PREFECT}={prefect}")
    print("Ctrl-C stops both.", flush=True)


def _use(ports: Mapping[str, int | None]) -> dict[str, str]:
    """Make those `ports` that are not None this process's. Raises PipelineError if one is none."""
    given = {name: str(port) for name, port in ports.items() if port is not None}
    os.environ.update(given)
    for name in given:
        addresses.port(name)
    return given


def _remember(root: Path, given: Mapping[str, str]) -> None:
    """Make the ports that were `given` those of every later command in this checkout."""
    if given:
        files.write_json(project.state(root) / project.PORTS, {**project.ports(root), **given})


@contextmanager
def prefect_server(
    root: Path, port: int, meanwhile: Callable[[str], object] | None = None
) -> Iterator[str]:
    """A Prefect server with the checkout's history. Yields its API's address.

    While it starts, which takes seconds, `meanwhile` is called with that address.
    """
    command = ["prefect", "server", "start", "--host", addresses.HOST, "--port", str(port)]
    api = f"http://{addresses.HOST}:{port}/api"
    env = {"PREFECT_API_URL": api}
    with _server("Prefect", root, port, command, env) as wait:
        if meanwhile:
            meanwhile(api)
        wait(f"{api}/health")
        yield api


@contextmanager
def mlflow_server(root: Path, port: int) -> Iterator[str]:
    """An MLflow server over the checkout's own store, or over the user's SQLite file.

    Yields its address.
    """
    from resnet.registry import store

    uri, artifacts = store.servable(root)
    command = [
        *("mlflow", "server", "--host", addresses.HOST, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", uri),
        # The folder itself, not the server's proxy: the store must be readable without the server.
        *("--default-artifact-root", artifacts.as_uri()),
        *("--artifacts-destination", str(artifacts)),
    ]
    address = f"http://{addresses.HOST}:{port}"
    with _server("MLflow", root, port, command, {}) as wait:
        wait(f"{address}/health")
        yield address


@contextmanager
def _server(
    name: str, root: Path, port: int, command: list[str], env: dict[str, str]
) -> Iterator[Callable[[str], None]]:
    """A server process. Yields a function that waits until it answers at an address.

    Its output goes to .state/NAME-server.log. It is ended with its children after the block.
    """
    if addresses.is_taken(port):
        raise PipelineError(
            f"port {port} of {addresses.HOST}, which {name}'s server needs, is taken: is it "
            "already running? End the process that listens there, and try again"
        )
    log = root / project.STATE / f"{name.lower()}-server.log"
    log.parent.mkdir(exist_ok=True)
    env = {**project.environment(root), **env}
    Path(env["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
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
        if addresses.answers(health):
            return
        time.sleep(0.5)
    raise PipelineError(f"{name}'s server did not answer in {START_SECONDS:.0f} s: see {log}")
