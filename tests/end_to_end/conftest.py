"""Checkouts of their own, with real servers over them."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from resnet import params, processes, project, servers

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Checkout:
    """A clone, and the environment in which a user of it types."""

    root: Path
    env: dict[str, str]

    def run(self, *words: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment, such as `resnet history` or `dvc dag`."""
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=self.root,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    @contextmanager
    def start(self, *words: str, **env: str) -> Iterator[psutil.Popen]:
        """A command that runs for the time of the block."""
        with (self.root / ".state" / "started.log").open("ab") as log:
            started = psutil.Popen(
                [sys.executable, "-m", *words],
                cwd=self.root,
                env={**self.env, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a terminal's foreground group
            )
        try:
            yield started
        finally:
            processes.end(started.pid)
            started.wait()

    @contextmanager
    def parameters(self, *overrides: str) -> Iterator[None]:
        """With other parameters in params.yaml for the time of the block."""
        path = self.root / "params.yaml"
        before = path.read_text()
        path.write_text(
            params.dump(params.merge(params.read(self.root), self.root, None, overrides))
        )
        try:
            yield
        finally:
            path.write_text(before)

    def checkpoints(self, pattern: str) -> set[Path]:
        """Files in the folders where trainings under way, or ended before their time, keep some."""
        return set((self.root / project.STATE / "checkpoints").glob(f"*/{pattern}"))

    def training(self) -> list[psutil.Process]:
        """Living processes that train in this checkout or in one of its working trees."""
        found = []
        for process in psutil.process_iter(["cmdline", "cwd"]):
            inside = (process.info["cwd"] or "").startswith(str(self.root))
            if inside and (process.info["cmdline"] or [])[-2:] == ["resnet", "train"]:
                found.append(process)
        return found

    def git(self, *words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=self.root, check=True, capture_output=True, text=True
        ).stdout

    def report(self, name: str):
        return json.loads((self.root / "reports" / f"{name}.json").read_text())


def clone(root: Path, preset: str, overrides: list[str]) -> Checkout:
    """The repository's files as they are now, in a git repository of their own.

    Its params.yaml is the repository's with the preset and the overrides laid over it.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        source, target = REPOSITORY / name, root / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    values = params.merge(params.read(root), root, preset, overrides)
    (root / "params.yaml").write_text(params.dump(values))
    checkout = Checkout(root, environment(root))
    checkout.git("init", "--quiet")
    checkout.git("config", "user.name", "A Tester")
    checkout.git("config", "user.email", "tester@example.org")
    checkout.git("add", "--all")
    checkout.git("commit", "--quiet", "--message", "A checkout to test")
    return checkout


def environment(root: Path) -> dict[str, str]:
    """This process's variables, without what would lead out of the checkout; an empty home."""
    (root / project.STATE).mkdir(exist_ok=True)
    home = root.with_name(f"{root.name}-home")
    home.mkdir(exist_ok=True)
    env = project.environment(root)
    for name in ("CIFAR10_ARCHIVE", "KERAS_HOME", *(one for one in env if one.startswith("XDG_"))):
        env.pop(name, None)
    return {
        **env,
        "HOME": str(home),
        # No way out: nothing may be downloaded by a test.
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1,localhost",
    }


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
        logs = "\n".join(self.logs(run))
        raise AssertionError(f"{found['state']}, wanted {states}; its log:\n{logs}")

    def logs(self, run: str) -> list[str]:
        found = self.post(
            "logs/filter", logs={"flow_run_id": {"any_": [run]}}, sort="TIMESTAMP_ASC"
        )
        return [entry["message"] for entry in found]

    def tasks(self, run: str) -> dict[str, str]:
        """{a task's name: the state it ended in}"""
        found = self.post("task_runs/filter", flow_runs={"id": {"any_": [run]}})
        return {entry["name"].rsplit("-", 1)[0]: entry["state_name"] for entry in found}

    def artifacts(self, run: str) -> dict[str, object]:
        """{an artifact's key: its data}"""
        found = self.post("artifacts/filter", flow_runs={"id": {"any_": [run]}})
        return {entry["key"]: entry["data"] for entry in found}


@pytest.fixture(scope="session")
def new_checkout(tmp_path_factory):
    """A function that makes checkouts."""

    def make(preset: str, overrides: list[str]) -> Checkout:
        return clone(tmp_path_factory.mktemp("checkout"), preset, overrides)

    return make


@pytest.fixture(scope="module")
def settings() -> list[str]:
    """What a module wants otherwise than the others in the checkout's params.yaml."""
    return []


@pytest.fixture(scope="module")
def checkout(new_checkout, settings) -> Checkout:
    """Seconds of training on the stand-in, and a gate that lets it pass."""
    gate = ["gate.floor=0.3", "gate.class_floor=0", "gate.margin=0.1", "gate.calibration_error=1"]
    return new_checkout("smoke", ["data.dataset=generated", *gate, *settings])


@pytest.fixture(scope="module")
def prefect(checkout) -> Iterator[Prefect]:
    """A real Prefect server with the deployments of prefect.yaml."""
    with servers.prefect_server(checkout.root, servers.free_port()) as api:
        checkout.env["PREFECT_API_URL"] = api
        checkout.run("resnet", "deploy")
        yield Prefect(api)


@pytest.fixture(scope="module")
def worker(checkout, prefect):
    """A real process worker, as `make worker` starts it."""
    words = ["prefect", "worker", "start", "--pool", "resnet", "--type", "process"]
    with checkout.start(*words, PREFECT_WORKER_QUERY_SECONDS="1") as running:
        yield running


def wait_for(condition, seconds=120):
    """What `condition` gives once that is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.5)
    return value


@pytest.fixture(scope="session", name="wait_for")
def wait_for_fixture():
    return wait_for


@pytest.fixture(scope="module")
def first_run(checkout, prefect) -> subprocess.CompletedProcess[str]:
    """`resnet run` in the new checkout, recorded by the server. Version 1 is in production."""
    return checkout.run("resnet", "run")
