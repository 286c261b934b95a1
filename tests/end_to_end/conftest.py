"""Clones of the repository, in which tests type what a user types, or call it."""

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest

from resnet import cli, params
from resnet.checkout import project
from resnet.system import processes
from tests.support import REPOSITORY, git


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

    def call(self, *words: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """A `resnet` command in this process, which has imported what would take it seconds.

        Its own code is this repository's; what it starts is the clone's.
        """
        out, err = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, {**self.env, **env}, clear=True),
            patch.object(tempfile, "tempdir", None),  # TMPDIR decides anew
            chdir(self.root),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = cli.main(words)
        done = subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())
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
        return git(self.root, *words)

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
    """This process's variables as a user's shell has them, none leading out of the checkout."""
    (root / project.STATE).mkdir(exist_ok=True)
    home = root.with_name(f"{root.name}-home")
    home.mkdir(exist_ok=True)
    env = project.environment(root)
    others = ("CIFAR10_ARCHIVE", "KERAS_HOME", "PYTHONDONTWRITEBYTECODE")
    for name in (*others, *(one for one in env if one.startswith("XDG_"))):
        env.pop(name, None)
    return {
        **env,
        "HOME": str(home),
        # No way out: nothing may be downloaded by a test.
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }


@pytest.fixture(scope="session")
def new_checkout(tmp_path_factory):
    """A function that makes checkouts."""

    def make(preset: str, overrides: list[str]) -> Checkout:
        return clone(tmp_path_factory.mktemp("checkout"), preset, overrides)

    return make


def wait_for(condition, seconds=120):
    """What `condition` gives once that is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.2)
    return value


@pytest.fixture(scope="session", name="wait_for")
def wait_for_fixture():
    return wait_for
