"""`resnet` as a user starts it, in a clone: seconds, memory and what a training recorded."""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import builds
from resnet import params
from resnet.checkout import project
from resnet.errors import PipelineError
from resnet.system import addresses, files

SAMPLING_SECONDS = 0.05  # between two samples of a command's memory
# So that a short training passes the gate.
NO_GATE = ["gate.floor=0", "gate.class_floor=0", "gate.margin=1", "gate.calibration_error=1"]


@dataclass(frozen=True)
class Cost:
    """The cost of a command."""

    started: float  # seconds since the epoch
    wall: float  # seconds
    peak: int  # bytes of its own process, sampled many times per second


def resnet(root: Path, *words: str, **variables: str) -> Cost:
    """The cost of `resnet WORDS` in the clone `root`.

    Raises PipelineError with the end of its output if it fails.
    """
    log = root / project.STATE / "bench.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as stream:
        started, clock = time.time(), time.perf_counter()
        process = subprocess.Popen(
            builds.python("-m", "resnet", *words),
            cwd=root,
            env={**builds.environment(root), **variables},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, _peak(process.pid))
            time.sleep(SAMPLING_SECONDS)
        wall = time.perf_counter() - clock
    if process.returncode:
        raise PipelineError(f"resnet {words[0]} failed: {log.read_text()[-500:]}")
    return Cost(started, wall, peak)


def set_steps(root: Path, steps: int) -> None:
    """Make the clone's parameters `quick` with that many training steps, and no gate.

    It trains on CIFAR-10 if CIFAR10_ARCHIVE names it and on the synthetic data set otherwise.
    """
    data = "cifar10" if os.environ.get(builds.ARCHIVE) else "generated"
    overrides = [f"data.dataset={data}", f"train.steps={steps}", "train.epochs=null", *NO_GATE]
    set_params(root, overrides)


def set_params(root: Path, overrides: Sequence[str]) -> None:
    """Change the clone's params.yaml."""
    values = params.merge(params.read(root), root, None, overrides)
    files.write_text(root / "params.yaml", params.dump(values))


def training(root: Path) -> dict[str, Any]:
    """What the last training in the clone recorded: `seconds` of its loop, and others."""
    return dict(files.read_json(root / params.read(root)["paths"]["training"]))


def require_no_server() -> None:
    """Raise PipelineError where the user's server would record the runs."""
    if os.environ.get("PREFECT_API_URL") or addresses.is_prefect(addresses.own_prefect()):
        raise PipelineError("a Prefect server is running and would record the runs: stop it first")


def _peak(pid: int) -> int:
    """The peak memory of a living process since its program began, in bytes; otherwise 0.

    The peak that `wait` reports would include the memory of the parent process.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    fields = (line.split() for line in lines)
    return 1024 * next((int(words[1]) for words in fields if words[0] == "VmHWM:"), 0)
