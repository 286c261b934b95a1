"""Peers in processes of their own, which make a round of work on request."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.rounds import Round
from resnet.errors import PipelineError

MODES = ("eager", "compile")
SOURCE = Path(__file__).with_name("torch_peer.py")
SET_BY_BACKEND = "TF_ENABLE_ONEDNN_OPTS"  # by `backend.select`; a user would not set it
Commands = Mapping[str, Sequence[str]]


def in_torch(python: Path, work: Mapping[str, Any]) -> Commands:
    """PyTorch doing `work` (see torch_peer.py) in each of its modes.

    `python` is the interpreter of its environment. Raises PipelineError where it does not exist.
    """
    if not python.exists():
        raise PipelineError(f"{python} does not exist: run 'make bench', which installs it")
    threads = len(os.sched_getaffinity(0))
    return {
        f"PyTorch {mode}": [
            str(python), str(SOURCE), json.dumps({**work, "mode": mode, "threads": threads})
        ]
        for mode in MODES
    }  # fmt: skip


def in_keras(work: Mapping[str, Any]) -> Commands:
    """`keras.Model.fit` doing `work`, see keras_peer.py."""
    command = [sys.executable, "-m", "benchmarks.keras_peer", json.dumps(work)]
    return {"keras.Model.fit": command}


@contextmanager
def running(commands: Commands) -> Iterator[dict[str, Round]]:
    """A process for each command, as long as the block lasts, and its rounds.

    A round raises PipelineError where the process ends instead of answering.
    """
    environment = {name: value for name, value in os.environ.items() if name != SET_BY_BACKEND}
    peers = {
        name: subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for name, command in commands.items()
    }
    try:
        yield {name: _round(name, peer) for name, peer in peers.items()}
    finally:
        for peer in peers.values():
            peer.communicate()  # closes its standard input, and so ends it


def version(python: Path) -> str:
    """The version of PyTorch in the environment of `python`, or why there is none."""
    command = [str(python), "-c", "import torch; print(torch.__version__)"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"none ({error})"


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
