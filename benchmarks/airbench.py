"""The speed record beside ours: airbench94's own script in PyTorch's environment, and its report.

The script is the user's to bring: legacy/airbench94.py of github.com/KellerJordan/cifar10-airbench.
It trains many times over and prints a table; the line of each run's end says "eval", the accuracy
with six views and the seconds of training and evaluation, data and start not included.
"""

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks import peer
from resnet.system import files

ACCURACY, SECONDS = "tta_val_acc", "total_time_seconds"  # columns of its table


def measured(python: Path, script: Path, folder: Path, raw: Path) -> dict[str, Any]:
    """Run `script` in `folder` by `python`, with CIFAR-10's seven files from `raw`; its runs.

    The first run, in which PyTorch warms up, is told apart. Where it fails: why, after its output.
    """
    data = folder / "cifar10"  # where it looks before it downloads
    data.mkdir(parents=True, exist_ok=True)
    link = data / "cifar-10-batches-py"
    link.unlink(missing_ok=True)
    link.symlink_to(raw.absolute())
    words = [str(python.absolute()), "-u", str(script.absolute())]
    clock = time.perf_counter()
    try:
        with subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            ended = list(runs(echoed(process.stdout)))
    except OSError as error:
        return {"failed": f"{python} cannot be run: {error}"}
    if process.returncode or len(ended) < 2:
        return {
            "failed": f"{script} exited with {process.returncode} after {len(ended)} runs, wanted "
            "two or more: what it said stands above"
        }
    accuracies, seconds = zip(*ended, strict=True)
    return {
        "torch": peer.version(python),
        "sha256": files.digest(script),
        "runs": len(ended),
        "test_accuracy": spread(accuracies),
        "seconds": spread(seconds[1:]),
        "first_run_seconds": seconds[0],  # with PyTorch's warm-up
        "wall_seconds": round(time.perf_counter() - clock, 2),
    }


def runs(lines: Iterable[str]) -> Iterator[tuple[float, float]]:
    """Of each run in the table its accuracy and its seconds."""
    columns: list[str] = []
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if {"epoch", ACCURACY, SECONDS} <= set(cells):
            columns = cells
        elif len(cells) == len(columns):
            found = dict(zip(columns, cells, strict=True))
            if found["epoch"] == "eval":
                yield float(found[ACCURACY]), float(found[SECONDS])


def echoed(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        print(line, end="", file=sys.stderr, flush=True)
        yield line


def spread(values: Iterable[float]) -> dict[str, float]:
    found = list(values)
    deviation = {"deviation": round(stdev(found), 4)} if len(found) > 1 else {}
    return {"mean": round(mean(found), 4), **deviation}
