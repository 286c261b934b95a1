"""Rows about what stands around the training loop: start-up, memory, all of `make run`, a rollback.

A new clone of HEAD runs the pipeline twice, with some steps of training and the second time with
one step more, on CIFAR-10 where CIFAR10_ARCHIVE names it and on the stand-in elsewhere; what the
loop itself took is taken off. `python -m benchmarks.pipeline` prints where the rest went.
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

from benchmarks.table import Goal, Missing, Row, quotient
from resnet import params
from resnet.checkout import project
from resnet.data import sources
from resnet.errors import PipelineError
from resnet.registry import store
from resnet.system import addresses, files
from resnet.training.loop import plan

STEPS = 100
PAUSE = 0.05  # seconds between two looks at a command's memory
# So that a short training goes the whole way.
NO_GATE = ["gate.floor=0", "gate.class_floor=0", "gate.margin=1", "gate.calibration_error=1"]


@dataclass(frozen=True)
class Ran:
    """What a command has cost."""

    started: float  # seconds since the epoch
    wall: float  # seconds
    peak: int  # bytes of its own process, as looked at many times a second


@dataclass(frozen=True)
class Trained(Ran):
    """What a command that trained has cost."""

    loop: float  # of `wall`, the seconds that training.json calls the loop's
    images_per_second: float


def rows(python: Path) -> Iterator[Row | Missing]:
    """The peer's `python` is not needed."""
    work = "make run again, one value of train changed, without the loop"
    try:
        with _clone() as root:
            again = _again(root)
            # To the version of the first run, which is loaded and asked before the alias moves.
            back = _command(root, ["rollback", "--reason", "a benchmark"], MLFLOW_TRACKING_URI="")
            # As in the flow: the training is followed in MLflow.
            train = _trained(root, ["train"], MLFLOW_TRACKING_URI=store.prepare_local(root))
    except PipelineError as error:
        yield Missing(work, str(error))
        return
    outside = again.wall - again.loop
    yield Row(work, "s", outside, "", None, outside, Goal("at most", 40.0))
    yield Row("resnet rollback", "s", back.wall, "", None, back.wall, Goal("at most", 20.0))
    loop = _quick_images() / train.images_per_second
    wall = loop + train.wall - train.loop
    work = "resnet train, quick preset: all its time against its loop's"
    yield quotient(work, "s", wall, "the loop", loop, Goal("at most", 1.1))
    gib = train.peak / 2**30
    work = "resnet train, quick preset: peak memory"
    yield Row(work, "GiB", gib, "", None, gib, Goal("at most", 2.0))


def main() -> None:
    """Print what each part of a second run takes."""
    with _clone() as root:
        again = _again(root)
        tasks = _tasks(root)
    parts = [("server, imports", tasks[0][1] - again.started)]
    parts += [(name, end - start) for name, start, end in tasks]
    parts += [("end", again.started + again.wall - tasks[-1][2]), ("all", again.wall)]
    parts += [("the loop, in train", again.loop), ("all but the loop", again.wall - again.loop)]
    print("| part | seconds |\n|---|---|")
    for name, seconds in parts:
        print(f"| {name} | {seconds:.1f} |")


@contextmanager
def _clone() -> Iterator[Path]:
    """A clone of HEAD. Raises PipelineError where a server of the user's would take part."""
    if os.environ.get("PREFECT_API_URL") or addresses.is_prefect(addresses.PREFECT_API):
        raise PipelineError("a Prefect server is up and would record the runs: end it first")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "clone"
        words = ["git", "clone", "--quiet", str(project.find_root()), str(root)]
        subprocess.run(words, check=True)
        yield root


def _again(root: Path) -> Trained:
    """The second of two runs of the pipeline, which makes one step of training more."""
    data = "cifar10" if os.environ.get(sources.VARIABLE) else "generated"
    for steps in (STEPS, STEPS + 1):
        overrides = [f"data.dataset={data}", f"train.steps={steps}", "train.epochs=null", *NO_GATE]
        values = params.merge(params.read(root), root, None, overrides)
        (root / "params.yaml").write_text(params.dump(values))
        ran = _trained(root, ["run"], MLFLOW_TRACKING_URI="")
    return ran


def _trained(root: Path, words: list[str], **variables: str) -> Trained:
    """`resnet WORDS`, which trains, in `root`. Raises as `_command` does."""
    ran = _command(root, words, **variables)
    said = files.read_json(root / params.load(root).paths.training)
    return Trained(ran.started, ran.wall, ran.peak, said["seconds"], said["images_per_second"])


def _command(root: Path, words: list[str], **variables: str) -> Ran:
    """`resnet WORDS` in `root`. Raises PipelineError with the end of what it said if it fails."""
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
            time.sleep(PAUSE)
        wall = time.perf_counter() - clock
    if process.returncode:
        raise PipelineError(f"resnet {words[0]} failed: {log.read_text()[-500:]}")
    return Ran(started, wall, peak)


def _peak(pid: int) -> int:
    """The most memory that a living process has had since its program began, in bytes; else 0.

    What `wait` tells of it counts the memory of the process that started it, too.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    found = (line.split() for line in lines)
    return 1024 * next((int(words[1]) for words in found if words[0] == "VmHWM:"), 0)


def _tasks(root: Path) -> list[tuple[str, float, float]]:
    """The tasks of the newest flow run in order: name, start and end in seconds since the epoch."""
    database = sqlite3.connect(root / project.STATE / "prefect" / "prefect.db")
    found = database.execute(
        "SELECT name, start_time, end_time FROM task_run WHERE flow_run_id ="
        " (SELECT id FROM flow_run ORDER BY created DESC LIMIT 1) ORDER BY start_time"
    ).fetchall()
    database.close()
    return [(name.rpartition("-")[0], _seconds(start), _seconds(end)) for name, start, end in found]


def _seconds(time: str) -> float:
    """Prefect's times are UTC, and do not say so."""
    return datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()


def _quick_images() -> int:
    """The training images that the quick preset's loop sees, each as often as it sees it."""
    root = project.find_root()
    chosen = params.load(root)
    images = 50_000 - chosen.data.validation
    return plan(chosen.train, images, chosen.data.validation).steps * chosen.train.batch


if __name__ == "__main__":
    main()
