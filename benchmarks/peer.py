"""PyTorch in a process and an environment of its own, which works when it is told to."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.rounds import Side
from resnet.errors import PipelineError

MODES = ("eager", "compile")
SOURCE = Path(__file__).with_name("torch_peer.py")


@contextmanager
def sides(python: Path, work: dict[str, Any]) -> Iterator[dict[str, Side]]:
    """PyTorch doing `work` (see torch_peer.py) in each of its modes, as long as the block lasts.

    `python` is the interpreter of the peer's environment. A side raises PipelineError where the
    peer ends instead of answering.
    """
    if not python.exists():
        raise PipelineError(f"{python} is not there: run 'make bench', which makes it")
    cores = len(os.sched_getaffinity(0))
    spec = [json.dumps({**work, "mode": mode, "threads": cores}) for mode in MODES]
    peers = [
        subprocess.Popen(
            [str(python), str(SOURCE), one],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for one in spec
    ]
    try:
        yield {f"PyTorch {mode}": _side(peer) for mode, peer in zip(MODES, peers, strict=True)}
    finally:
        for peer in peers:
            peer.communicate()  # closes its standard input, at which it ends


def version(python: Path) -> str:
    """The version of PyTorch in the environment of `python`, or why there is none."""
    command = [str(python), "-c", "import torch; print(torch.__version__)"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"none ({error})"


def _side(peer: subprocess.Popen[str]) -> Side:
    def one_round() -> float:
        assert peer.stdin is not None
        assert peer.stdout is not None
        try:
            peer.stdin.write("go\n")
            peer.stdin.flush()
            return float(peer.stdout.readline())
        except (BrokenPipeError, ValueError):
            raise PipelineError("PyTorch's process ended; what it said stands above") from None

    return one_round
