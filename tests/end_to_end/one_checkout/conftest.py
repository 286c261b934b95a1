"""One checkout for all tests of this folder, with real servers over it."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from resnet import processes, servers
from resnet.registry import store


def _answer(request: urllib.request.Request):
    """What the server says; asked again while it is too busy to say anything, as clients do."""
    for pause in (1, 2, 4, 8, 0):
        try:
            with urllib.request.urlopen(request) as response:
                return json.loads(response.read() or "null")
        except urllib.error.HTTPError as error:
            if error.code != 503 or not pause:
                raise
            time.sleep(pause)
    return None


@dataclass(frozen=True)
class Prefect:
    """A client of a running Prefect server's REST API."""

    api: str

    def post(self, path: str, **body):
        return self._send("POST", path, body)

    def patch(self, path: str, **body):
        return self._send("PATCH", path, body)

    def _send(self, method: str, path: str, body: dict):
        request = urllib.request.Request(
            f"{self.api}/{path}",
            data=json.dumps(body).encode(),
            headers={"content-type": "application/json"},
            method=method,
        )
        return _answer(request)

    def get(self, path: str):
        return _answer(urllib.request.Request(f"{self.api}/{path}"))

    def start(self, deployment: str, **parameters):
        """A run of a deployment, as `prefect deployment run` makes it. Returns its id."""
        found = self.get(f"deployments/name/{deployment}")
        created = self.post(
            f"deployments/{found['id']}/create_flow_run",
            parameters=parameters,
            state={"type": "SCHEDULED"},
        )
        return created["id"]

    def wait(self, run: str, *states: str, seconds: float = 240):
        """The run once its state's type is one of `states`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.get(f"flow_runs/{run}")
            if found["state_type"] in states:
                return found
            if found["state_type"] in ("FAILED", "CRASHED", "CANCELLED", "COMPLETED"):
                break
            time.sleep(0.5)
        logs = "\n".join(line["message"] for line in self._logs(run))
        raise AssertionError(f"{found['state']}, wanted {states}; its log:\n{logs}")

    def runs(self, deployment: str, *states: str):
        """All runs of a deployment whose state's type is one of `states`, where any are given."""
        found = self.get(f"deployments/name/{deployment}")
        chosen = {"flow_runs": {"state": {"type": {"any_": states}}}} if states else {}
        return self.post("flow_runs/filter", deployments={"id": {"any_": [found["id"]]}}, **chosen)

    def logs(self, run: str, seconds: float = 60) -> list[str]:
        """What a run that has ended told, once its last line is there: they come in portions."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            lines = self._logs(run)
            own = [line["message"] for line in lines if line["task_run_id"] is None]
            if any(message.startswith("Finished in state") for message in own):
                return [line["message"] for line in lines]
            time.sleep(0.5)
        raise AssertionError(f"the last line has not come; what has: {lines}")

    def _logs(self, run: str) -> list[dict]:
        wanted, found, page = {"flow_run_id": {"any_": [run]}}, [], None
        while page is None or page:
            page = self.post("logs/filter", logs=wanted, sort="TIMESTAMP_ASC", offset=len(found))
            found += page
        return found

    def tasks(self, run: str) -> dict[str, str]:
        """{a task's name: the state it ended in}"""
        found = self.post("task_runs/filter", flow_runs={"id": {"any_": [run]}})
        return {entry["name"].rsplit("-", 1)[0]: entry["state_name"] for entry in found}

    def artifacts(self, run: str) -> dict[str, object]:
        """{an artifact's key: its data}"""
        found = self.post("artifacts/filter", flow_runs={"id": {"any_": [run]}})
        return {entry["key"]: entry["data"] for entry in found}


@pytest.fixture(scope="session")
def checkout(new_checkout):
    """Seconds of training on the stand-in, and a gate that lets every version pass.

    All tests of `one_checkout` share it, one after another, with its servers and its history: a
    first run takes two minutes. They leave params.yaml and dvc.lock as they were. Each file works
    alone as well; test_commands.py finds a fresh checkout, so that it is the first by its name.
    """
    gate = ["gate.floor=0.3", "gate.class_floor=0", "gate.margin=1", "gate.calibration_error=1"]
    return new_checkout("smoke", ["data.dataset=generated", "runtime.settle_seconds=2", *gate])


@pytest.fixture(scope="session")
def prefect(checkout) -> Iterator[Prefect]:
    """A real Prefect server with the deployments of prefect.yaml."""
    with servers.prefect_server(checkout.root, servers.free_port()) as api:
        checkout.env["PREFECT_API_URL"] = api
        checkout.run("resnet", "deploy")
        yield Prefect(api)


@pytest.fixture(scope="session")
def worker(checkout, prefect):
    """A real process worker, as `make worker` starts it."""
    words = ["prefect", "worker", "start", "--pool", "resnet", "--type", "process"]
    with checkout.start(*words, PREFECT_WORKER_QUERY_SECONDS="2") as running:
        yield running


CALLED = """
import importlib, json, sys
told, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    name, parameters = json.loads(line)
    flow = getattr(importlib.import_module(f"flows.{name}"), name)
    state = flow(**parameters, return_state=True)
    print(state.state_details.flow_run_id, file=told, flush=True)
"""


@pytest.fixture(scope="session")
def call(checkout, prefect) -> Iterator[Callable[..., dict]]:
    """A function that calls a flow, as Python code can, and gives the flow run once it has ended.

    All calls are made in one process: a run that a worker executes takes ten seconds until its
    flow's first line. It is for what a worker adds nothing to.
    """
    log = checkout.root / ".state" / "called.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", CALLED],
            cwd=checkout.root,
            env=checkout.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )

    def one(name: str, ends: str = "COMPLETED", **parameters) -> dict:
        assert process.poll() is None, log.read_text()
        print(json.dumps([name, parameters]), file=process.stdin, flush=True)
        run = process.stdout.readline().strip()
        assert run, log.read_text()
        found = prefect.get(f"flow_runs/{run}")
        assert found["state_type"] == ends, (found["state"], log.read_text())
        return found

    try:
        yield one
    finally:
        processes.end(process.pid)
        process.wait()


@pytest.fixture(scope="session")
def first_run(checkout, prefect) -> subprocess.CompletedProcess[str]:
    """`resnet run` in the new checkout, recorded by the server. Version 1 is in production."""
    return checkout.run("resnet", "run")


@pytest.fixture(scope="session")
def registry(checkout, first_run):
    """A client of the checkout's store, once version 1 is in it."""
    return store.client(checkout.root)


@dataclass(frozen=True)
class Terminated:
    """A run of other parameters than params.yaml's that was told to end at its first step."""

    override: str
    mlflow_run: str
    checkpoints: Path  # its training's folder of them
    files: tuple[str, object]  # what git and the report said of the checkout before it


@pytest.fixture(scope="session")
def terminated(checkout, registry, wait_for) -> Terminated:
    override = "train.steps=300"
    files = checkout.git("status", "--porcelain"), checkout.report("training")
    before = checkout.checkpoints("*")
    with checkout.start("resnet", "run", "--set", override, "--promote", "never") as run:
        (note,) = wait_for(lambda: checkout.checkpoints("mlflow-run") - before)
        run.terminate()
        run.wait(timeout=60)
    return Terminated(override, note.read_text(), note.parent, files)
