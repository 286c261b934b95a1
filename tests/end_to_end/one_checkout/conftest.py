"""One checkout for all tests of this folder, with real servers over it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from resnet.operations import servers
from resnet.registry import store, versions
from resnet.system import addresses, processes

NAME = "generated-resnet"


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
        wanted, page = {"flow_run_id": {"any_": [run]}}, None
        found: list[dict] = []
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
    alone as well; by their names test_commands.py is the first, which finds a fresh checkout, and
    test_versions.py follows test_deployments.py, whose open request its promotion would answer.
    """
    errors = ["gate.calibration_error=1", "gate.uncalibrated_error=null"]
    gate = ["gate.floor=0.3", "gate.class_floor=0", "gate.margin=1", *errors]
    # Long enough to be ended under way.
    training = ["data.dataset=generated", "train.steps=300", "runtime.checkpoint_seconds=0.2"]
    return new_checkout("smoke", [*training, "runtime.settle_seconds=2", *gate])


@pytest.fixture(scope="session")
def prefect(checkout) -> Iterator[Prefect]:
    """A real Prefect server with the deployments of prefect.yaml."""
    with servers.prefect_server(checkout.root, addresses.free_port()) as api:
        checkout.env["PREFECT_API_URL"] = api
        checkout.run("resnet", "deploy")
        yield Prefect(api)


@pytest.fixture(scope="session")
def worker(checkout, prefect):
    """A real process worker, as `make worker` starts it."""
    with checkout.start("resnet", "worker", PREFECT_WORKER_QUERY_SECONDS="2") as running:
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
        assert process.stdout is not None
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


def steps(checkpoints: Iterable[Path]) -> list[int]:
    """After which they were written."""
    return [int(path.name[:9]) for path in checkpoints]


@pytest.fixture(scope="session")
def reproduced(checkout, wait_for) -> subprocess.CompletedProcess[str]:
    """`dvc repro` in the new checkout's shell, the third: the first two were ended while they
    trained.
    """
    log = checkout.root / ".state" / "started.log"

    def step():
        return max(steps(checkout.checkpoints("*.npz")), default=0)

    with checkout.start("dvc", "repro") as dvc:
        wait_for(step, seconds=240)
        os.killpg(dvc.pid, signal.SIGINT)  # Ctrl-C
        assert dvc.wait(timeout=60) == 255
    assert log.read_text().count("exited with 75") == 1
    last = step()
    with checkout.start("dvc", "repro") as dvc:
        wait_for(lambda: step() > last)
        dvc.kill()  # its stage lives on for a moment
        dvc.wait()
        return checkout.run("dvc", "repro")


@pytest.fixture(scope="session")
def first_run(checkout, prefect, reproduced) -> subprocess.CompletedProcess[str]:
    """`resnet run` after it, recorded by the server. Version 1 is in production."""
    return checkout.run("resnet", "run")


@pytest.fixture(scope="session")
def registry(checkout, first_run):
    """A client of the checkout's store, once version 1 is in it."""
    return store.client(checkout.root)


@pytest.fixture
def new_clone(checkout, first_run, tmp_path):
    """A clone of the checkout with its store and its remote, which has all, and no cache."""
    root = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", checkout.root, root], check=True)
    env = {**checkout.env, "MLFLOW_TRACKING_URI": store.tracking_uri(checkout.root)}
    for name in ("RESNET_STATE", "PREFECT_HOME", "MPLCONFIGDIR"):
        env.pop(name)
    clone = type(checkout)(root, env)
    checkout.run("dvc", "push")
    remote = str(checkout.root / ".state" / "dvc-remote")
    clone.run("dvc", "remote", "modify", "--local", "local", "url", remote)
    return clone


@dataclass(frozen=True)
class Stopped:
    """What an interrupted training has left."""

    mlflow_run: str
    status: str  # of that
    reason: str  # which that gives
    checkpoints: Path  # the folder
    newest: int  # the last step of which there is one


def stopped(registry, note: Path) -> Stopped:
    run = registry.get_run(note.read_text())
    newest = max(steps(note.parent.glob("*.npz")))
    reason = run.data.tags["stopped"]
    return Stopped(run.info.run_id, run.info.status, reason, note.parent, newest)


@dataclass(frozen=True)
class Interrupted:
    """A run of other parameters than params.yaml's that Ctrl-C ended at its first step."""

    override: str
    code: int  # its exit's
    alive: list[psutil.Process]  # of it and what it had started, its own server too
    training: Stopped
    files: tuple[str, object]  # what git and the report said of the checkout before it


@pytest.fixture(scope="session")
def interrupted(checkout, registry, wait_for) -> Interrupted:
    override = "train.seed=2"
    files = checkout.git("status", "--porcelain"), checkout.report("training")
    before = checkout.checkpoints("*")
    words = ["resnet", "run", "--set", override, "--promote", "never"]
    with checkout.start(*words, PREFECT_API_URL="") as run:
        (note,) = wait_for(lambda: checkout.checkpoints("mlflow-run") - before, seconds=240)
        family = [run, *run.children(recursive=True)]
        os.killpg(run.pid, signal.SIGINT)
        run.wait(timeout=60)
    alive = [one for one in family if one.is_running() and one.status() != "zombie"]
    return Interrupted(override, run.returncode, alive, stopped(registry, note), files)


@dataclass(frozen=True)
class Cancelled:
    """A run of `retrain` that was cancelled at its first step."""

    next: str  # the state's type of the run after it, until then
    trains: tuple[bool, bool]  # before and after
    training: Stopped


@dataclass(frozen=True)
class Asked:
    """A run of `retrain` that ended with a question."""

    run: str
    waited_for: Cancelled
    parameters: dict[str, object]
    message: str
    page: str  # its artifact
    version: int  # which is asked about
    mlflow_run: str  # its own
    production: int


@pytest.fixture(scope="session")
def asked(checkout, prefect, worker, registry, interrupted, wait_for) -> Asked:
    """One that goes on with the training that Ctrl-C ended, and whose version passes the gate.

    It waits until another one, which trains, is cancelled.
    """
    production = versions.resolve(registry, NAME, "production").number
    before = checkout.checkpoints("*")
    one = prefect.start("retrain/weekly", overrides=["train.steps=100000"])

    def trains() -> bool:
        return any(one in process.cwd() for process in checkout.training())

    prefect.wait(one, "RUNNING")
    parameters: dict[str, object] = {
        "preset": "quick",
        "overrides": [interrupted.override],
        "promote": "ask",
    }
    run = prefect.start("retrain/weekly", **parameters)
    (note,) = wait_for(lambda: checkout.checkpoints("mlflow-run") - before)  # at its first step
    waits, trained = prefect.get(f"flow_runs/{run}")["state_type"], trains()
    prefect.post(f"flow_runs/{one}/set_state", state={"type": "CANCELLING"})
    prefect.wait(one, "CANCELLED")
    cancelled = Cancelled(waits, (trained, trains()), stopped(registry, note))

    state = prefect.wait(run, "COMPLETED")["state"]
    assert state["name"] == "Awaiting approval"
    page = prefect.artifacts(run)["result"]
    version = versions.resolve(registry, NAME, "latest")
    return Asked(
        run,
        cancelled,
        parameters,
        state["message"],
        page,
        version.number,
        version.run_id,
        production,
    )
