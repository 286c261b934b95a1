"""Rows about all that surrounds the training loop: start-up, memory, `make run`, a rollback.

A new clone of HEAD runs the pipeline twice, the second time with one training step more, on
CIFAR-10 if CIFAR10_ARCHIVE names it and on the synthetic data set otherwise; the seconds of the
loop itself are subtracted. `python -m benchmarks.pipeline` prints where the others go.
"""

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.table import Goal, MissingRow, Row, quotient
from resnet import params
from resnet.checkout import project
from resnet.data import sources
from resnet.errors import PipelineError
from resnet.registry import store
from resnet.system import addresses, files
from resnet.training.loop import plan

STEPS = 100
SAMPLING_SECONDS = 0.05  # between two samples of a command's memory
# So that a short training passes the gate.
NO_GATE = ["gate.floor=0", "gate.class_floor=0", "gate.margin=1", "gate.calibration_error=1"]


@dataclass(frozen=True)
class Cost:
    """The cost of a command."""

    started: float  # seconds since the epoch
    wall: float  # seconds
    peak: int  # bytes of its own process, sampled many times per second


@dataclass(frozen=True)
class TrainingCost(Cost):
    """The cost of a command that trained."""

    loop: float  # seconds in the training loop, as in training.json; a part of `wall`
    images_per_second: float


def rows(python: Path) -> Iterator[Row | MissingRow]:
    """The peer's `python` is not needed."""
    work = "make run again, one value of train changed, without the loop"
    try:
        with _clone() as root:
            second = _second_run(root)
            # To the version of the first run, which is loaded and tested before the alias moves.
            rollback = _command(
                root, ["rollback", "--reason", "a benchmark"], MLFLOW_TRACKING_URI=""
            )
            # As in the flow, the training is shown in MLflow.
            training = _train(root, ["train"], MLFLOW_TRACKING_URI=store.prepare_local(root))
    except PipelineError as error:
        yield MissingRow(work, str(error))
        return
    outside = second.wall - second.loop
    yield Row(work, "s", outside, "", None, outside, Goal("at most", 40.0))
    yield Row("resnet rollback", "s", rollback.wall, "", None, rollback.wall, Goal("at most", 20.0))
    loop = _quick_images() / training.images_per_second
    wall = loop + training.wall - training.loop
    work = "resnet train, quick preset: all its time against its loop's"
    yield quotient(work, "s", wall, "the loop", loop, Goal("at most", 1.1))
    gib = training.peak / 2**30
    work = "resnet train, quick preset: peak memory"
    yield Row(work, "GiB", gib, "", None, gib, Goal("at most", 2.0))


def main() -> None:
    """Print the seconds of each part of the second run."""
    with _clone() as root:
        run = _second_run(root)
        tasks = _tasks(root)
    parts = [("server, imports", tasks[0][1] - run.started)]
    parts += [(name, end - start) for name, start, end in tasks]
    parts += [("end", run.started + run.wall - tasks[-1][2]), ("all", run.wall)]
    parts += [("the loop, in train", run.loop), ("all but the loop", run.wall - run.loop)]
    print("| part | seconds |\n|---|---|")
    for name, seconds in parts:
        print(f"| {name} | {seconds:.1f} |")


@contextmanager
def _clone() -> Iterator[Path]:
    """A clone of HEAD. Raises PipelineError where the user's server would record the runs."""
    if os.environ.get("PREFECT_API_URL") or addresses.is_prefect(addresses.own_prefect()):
        raise PipelineError("a Prefect server is running and would record the runs: stop it first")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "clone"
        command = ["git", "clone", "--quiet", str(project.find_root()), str(root)]
        subprocess.run(command, check=True)
        yield root


def _second_run(root: Path) -> TrainingCost:
    """The second of two runs of the pipeline, which makes one training step more."""
    data = "cifar10" if os.environ.get(sources.VARIABLE) else "generated"
    for steps in (STEPS, STEPS + 1):
        overrides = [f"data.dataset={data}", f"train.steps={steps}", "train.epochs=null", *NO_GATE]
        values = params.merge(params.read(root), root, None, overrides)
        (root / "params.yaml").write_text(params.dump(values))
        cost = _train(root, ["run"], MLFLOW_TRACKING_URI="")
    return cost


def _train(root: Path, words: list[str], **variables: str) -> TrainingCost:
    """`resnet WORDS`, which trains, in `root`. Raises as `_command` does."""
    cost = _command(root, words, **variables)
    record = files.read_json(root / params.load(root).paths.training)
    return TrainingCost(
        cost.started, cost.wall, cost.peak, record["seconds"], record["images_per_second"]
    )


def _command(root: Path, words: list[str], **variables: str) -> Cost:
    """`resnet WORDS` in `root`. Raises PipelineError with the end of its output if it fails."""
    log = root / project.STATE / "bench.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as stream:
        started, clock = time.time(), time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "resnet", *words],
            cwd=root,
            env={**project.environment(root), **variables},
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


def _tasks(root: Path) -> list[tuple[str, float, float]]:
    """The tasks of the newest flow run in order: name, start and end in seconds since the epoch."""
    database = sqlite3.connect(root / project.STATE / "prefect" / "prefect.db")
    rows = database.execute(
        "SELECT name, start_time, end_time FROM task_run WHERE flow_run_id ="
        " (SELECT id FROM flow_run ORDER BY created DESC LIMIT 1) ORDER BY start_time"
    ).fetchall()
    database.close()
    return [(name.rpartition("-")[0], _seconds(start), _seconds(end)) for name, start, end in rows]


def _seconds(time: str) -> float:
    """Prefect's times are UTC without a time zone."""
    return datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()


def _quick_images() -> int:
    """The training images that the quick preset's loop sees, counted each time."""
    root = project.find_root()
    parameters = params.load(root)
    validation, recipe = parameters.data.validation, parameters.train
    return plan(recipe, 50_000 - validation, validation).steps * recipe.batch


if __name__ == "__main__":
    main()
