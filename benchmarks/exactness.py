"""Rows about exactness: what deterministic operations cost, and what checkpoints do.

A process is deterministic from its first operation on or not at all, so each way has one of its
own, and they take turns. `python -m benchmarks.run exactness` prints these rows alone.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import subjects
from benchmarks.rounds import Side, best_in_turn
from benchmarks.table import Goal, Missing, Row, quotient
from resnet import params
from resnet.checkout import project
from resnet.errors import PipelineError
from resnet.model import backend
from resnet.params import Params

WAYS = {"deterministic": True, "any operations": False}
BATCHES = 12
WRITTEN = 20


def rows(python: Path) -> Iterator[Row | Missing]:
    """The peer's `python` is not needed."""
    for name, chosen in nets().items():
        with ExitStack() as stack:
            sides = {way: stack.enter_context(_side(chosen, WAYS[way])) for way in WAYS}
            speed = best_in_turn(sides)
        ours, theirs = (speed[way] for way in WAYS)
        work = f"train {name}, batch {chosen.train.batch}, deterministic"
        yield quotient(work, "images/s", ours, "any operations", theirs, Goal("at least", 0.95))
        seconds, between = _seconds_of_a_checkpoint(chosen), chosen.runtime.checkpoint_seconds
        work = f"a checkpoint of {name}, in % of the time from one to the next"
        yield Row(work, "s", seconds, "", between, 100 * seconds / between, Goal("at most", 2.0))


def nets() -> dict[str, Params]:
    quick = params.load(project.find_root())
    return {"quick": quick, "ResNet-20": subjects.paper(20, (16, 32, 64))}


@contextmanager
def _side(chosen: Params, deterministic: bool) -> Iterator[Side]:
    """Steps of the engine in a process of their own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(
        target=_work, args=(chosen, deterministic, BATCHES, there), daemon=True
    )
    process.start()
    there.close()

    def one_round() -> float:
        here.send("go")
        try:
            speed: float = here.recv()
        except EOFError:
            raise PipelineError(
                "the process that trains ended; what it said stands above"
            ) from None
        return speed

    yield one_round
    here.close()
    process.join()


def _work(chosen: Params, deterministic: bool, batches: int, asked: Connection) -> None:
    """Make rounds until nobody asks any more."""
    backend.select("tensorflow", "cpu", deterministic=deterministic)
    from benchmarks.training import ours

    one_round = ours(chosen, batches)
    try:
        while asked.recv():
            asked.send(one_round())
    except EOFError:
        return


def _seconds_of_a_checkpoint(chosen: Params) -> float:
    """The median, for a training in the middle of its second epoch."""
    from resnet.training.checkpoint import Checkpoints, TrainingState
    from resnet.training.engines.create import create
    from resnet.training.engines.interface import TrainingJob

    images, labels = subjects.images(chosen.train.batch)
    rates = np.full(10_000, 0.01, np.float32)
    made = create(TrainingJob(chosen.net, subjects.DATA, chosen.train, rates, images, labels))
    state = TrainingState(
        step=500, results=np.zeros((150, 2), np.float32), best_weights=made.weights()
    )
    taken = []
    home = project.state(project.find_root())
    home.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as folder:
        checkpoints = Checkpoints(Path(folder) / "bench", 0)
        with checkpoints.lock(0):
            for _ in range(WRITTEN):
                started = time.perf_counter()
                state.engine_state = made.state()
                checkpoints.write(state)
                taken.append(time.perf_counter() - started)
    return median(taken)
