"""Contenders in processes of their own, which make a round of work on request."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import builds
from benchmarks.rounds import NotMeasuredError, Round
from benchmarks.table import Setting
from resnet.errors import PipelineError

HERE = Path(__file__).parent
OURS = "ours"
MODES = ("eager", "compile")
SET_BY_BACKEND = "TF_ENABLE_ONEDNN_OPTS"  # by `backend.select`; a user would not set it


@dataclass(frozen=True)
class Command:
    """How a contender is started."""

    words: Sequence[str]
    folder: Path | None = None  # it runs in; None: this process's
    variables: Mapping[str, str] | None = None  # all of them; None: this process's


Commands = Mapping[str, Command]


def of_build(root: Path, work: Mapping[str, Any]) -> Command:
    """The build in `root` doing `work`, see build_peer.py."""
    words = builds.python("-P", str(HERE / "build_peer.py"), json.dumps(work))
    return Command(words, root, builds.environment(root))


def in_torch(setting: Setting, work: Mapping[str, Any], script: str = "torch_peer.py") -> Commands:
    """PyTorch doing `work` (see `script`) in each of its modes and precisions.

    Bfloat16 takes part where the CPU has instructions for it: without them PyTorch trains and
    scores in it at about a quarter of float32's speed. Raises NotMeasuredError without PyTorch.
    """
    require_module(setting.torch, "torch", "PyTorch")
    precisions = ["float32"] if setting.kind == "neither" else ["float32", "bfloat16"]
    return {
        f"PyTorch {precision}, {mode}": in_environment_of_torch(
            setting, script, {**work, "mode": mode, "precision": precision}
        )
        for precision in precisions
        for mode in MODES
    }


def in_environment_of_torch(setting: Setting, script: str, work: Mapping[str, Any]) -> Command:
    """A script of this folder doing `work` on all cores that this process may use."""
    spec = {**work, "threads": len(os.sched_getaffinity(0))}
    return Command([str(setting.torch), str(HERE / script), json.dumps(spec)])


def require_module(python: Path, module: str, name: str) -> None:
    """Raise NotMeasuredError where `python` cannot import `module`, which is called `name`."""
    if import_error(python, module):
        raise NotMeasuredError(f"{name} is not installed: run 'make bench', which installs it")


def import_error(python: Path, module: str) -> str:
    """Why `python` cannot import `module`; empty where it can."""
    try:
        subprocess.run([python, "-c", f"import {module}"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return str(error)
    return ""


def in_keras(work: Mapping[str, Any]) -> Commands:
    """`keras.Model.fit` doing `work`, see keras_peer.py."""
    words = [sys.executable, "-m", "benchmarks.keras_peer", json.dumps(work)]
    return {"keras.Model.fit": Command(words)}


@contextmanager
def running(commands: Commands) -> Iterator[dict[str, Round]]:
    """A process for each command, as long as the block lasts, and its rounds.

    A round raises PipelineError where the process ends instead of answering.
    """
    inherited = {name: value for name, value in os.environ.items() if name != SET_BY_BACKEND}
    peers: dict[str, subprocess.Popen[str]] = {}
    try:
        for name, command in commands.items():
            peers[name] = subprocess.Popen(
                command.words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=command.folder,
                env=inherited if command.variables is None else command.variables,
            )
        yield {name: _round(name, peer) for name, peer in peers.items()}
    finally:
        for peer in peers.values():
            peer.communicate()  # closes its standard input, and so ends it


def version(python: Path, module: str = "torch") -> str:
    """The version of a module in the environment of `python`; empty if it is not there."""
    command = [str(python), "-c", f"import {module}; print({module}.__version__)"]
    try:
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return output.strip().partition("-")[0]  # OpenVINO's has a commit as well
    except (OSError, subprocess.CalledProcessError):
        return ""


def _round(name: str, peer: subprocess.Popen[str]) -> Round:
    def one_round() -> float:
        assert peer.stdin is not None
        assert peer.stdout is not None
        try:
            peer.stdin.write("go\n")
            peer.stdin.flush()
            return float(peer.stdout.readline())
        except (BrokenPipeError, ValueError):
            raise PipelineError(f"{name}: its process ended; its output is above") from None

    return one_round
