"""The speed record: run airbench94's own script in PyTorch's environment and read its output.

The user provides the script: legacy/airbench94.py of github.com/KellerJordan/cifar10-airbench. It
trains several times and prints a table; the last line of each run has "eval", the accuracy with six
views and the seconds of training and evaluation, without loading the data and starting up.
"""

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import peer
from benchmarks.study import spread
from resnet.system import files

ACCURACY, SECONDS = "tta_val_acc", "total_time_seconds"  # columns of its table


def measure(python: Path, script: Path, folder: Path, raw: Path) -> dict[str, Any]:
    """Run `script` in `folder` with `python` and CIFAR-10's seven files from `raw`.

    Returns its runs; the seconds of the first, in which PyTorch warms up, are separate. If it
    fails, returns why, after printing its output.
    """
    data = folder / "cifar10"  # where the script looks before it downloads
    data.mkdir(parents=True, exist_ok=True)
    link = data / "cifar-10-batches-py"
    link.unlink(missing_ok=True)
    link.symlink_to(raw.absolute())
    command = [str(python.absolute()), "-u", str(script.absolute())]
    clock = time.perf_counter()
    try:
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            finished = list(read_runs(echoed(process.stdout)))
    except OSError as error:
        return {"failed": f"{python} cannot be run: {error}"}
    if process.returncode or len(finished) < 2:
        return {
            "failed": f"{script} exited with {process.returncode} after {len(finished)} runs, want "
            "two or more: its output is above"
        }
    accuracies, seconds = zip(*finished, strict=True)
    return {
        "torch": peer.version(python),
        "sha256": files.digest(script),
        "runs": len(finished),
        "test_accuracy": spread(accuracies, 4),
        "seconds": spread(seconds[1:], 4),
        "first_run_seconds": seconds[0],  # with PyTorch's warm-up
        "wall_seconds": round(time.perf_counter() - clock, 2),
    }


def read_runs(lines: Iterable[str]) -> Iterator[tuple[float, float]]:
    """The accuracy and the seconds of each run in the table."""
    columns: list[str] = []
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if {"epoch", ACCURACY, SECONDS} <= set(cells):
            columns = cells
        elif len(cells) == len(columns):
            row = dict(zip(columns, cells, strict=True))
            if row["epoch"] == "eval":
                yield float(row[ACCURACY]), float(row[SECONDS])


def echoed(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        print(line, end="", file=sys.stderr, flush=True)
        yield line
