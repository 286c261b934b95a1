"""Peers in processes of their own, which work when they are told to."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.rounds import Side
from resnet.errors import PipelineError

MODES = ("eager", "compile")
SOURCE = Path(__file__).with_name("torch_peer.py")
OURS = "TF_ENABLE_ONEDNN_OPTS"  # what `backend.select` has set, and a user would not
Commands = Mapping[str, Sequence[str]]


def in_torch(python: Path, work: Mapping[str, Any]) -> Commands:
    """PyTorch doing `work` (see torch_peer.py) in each of its modes.

    `python` is the interpreter of its environment. Raises PipelineError where there is none.
    """
    if not python.exists():
        raise PipelineError(f"{python} is not there: run 'make bench', which makes it")
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
def sides(commands: Commands) -> Iterator[dict[str, Side]]:
    """A process for each command, as long as the block lasts.

    A side raises PipelineError where its process ends instead of answering.
    """
    environment = {name: value for name, value in os.environ.items() if name != OURS}
    peers = {
        name: subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for name, command in commands.items()
    }
    try:
        yield {name: _side(name, peer) for name, peer in peers.items()}
    finally:
        for peer in peers.values():
            peer.communicate()  # closes its standard input, at which it ends


def version(python: Path) -> str:
    """The version of PyTorch in the environment of `python`, or why there is none."""
    command = [str(python), "-c", "import torch; print(torch.__version__)"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"none ({error})"


def _side(name: str, peer: subprocess.Popen[str]) -> Side:
    def one_round() -> float:
        assert peer.stdin is not None
        assert peer.stdout is not None
        try:
            peer.stdin.write("go\n")
            peer.stdin.flush()
            return float(peer.stdout.readline())
        except (BrokenPipeError, ValueError):
            raise PipelineError(f"{name}: its process ended; what it said stands above") from None

    return one_round
