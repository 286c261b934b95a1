"""Rows about exactness: what deterministic operations cost, and what checkpoints cost.

A process is deterministic from its first operation on or not at all, so each mode has a process of
its own, and they take turns. `python -m benchmarks.run exactness` prints only these rows.
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
from benchmarks.rounds import Round, best_in_turn
from benchmarks.table import Goal, MissingRow, Row, quotient
from resnet import params
from resnet.checkout import project
from resnet.errors import PipelineError
from resnet.model import backend
from resnet.params import Params

MODES = {"deterministic": True, "any operations": False}
BATCHES = 12
CHECKPOINTS = 20


def rows(python: Path) -> Iterator[Row | MissingRow]:
    """The peer's `python` is not needed."""
    for name, parameters in nets().items():
        with ExitStack() as stack:
            rounds = {
                mode: stack.enter_context(_in_process(parameters, deterministic))
                for mode, deterministic in MODES.items()
            }
            speed = best_in_turn(rounds)
        ours, theirs = (speed[mode] for mode in MODES)
        work = f"train {name}, batch {parameters.train.batch}, deterministic"
        yield quotient(work, "images/s", ours, "any operations", theirs, Goal("at least", 0.95))
        seconds = _seconds_of_a_checkpoint(parameters)
        between = parameters.runtime.checkpoint_seconds
        work = f"a checkpoint of {name}, in % of the time from one to the next"
        yield Row(work, "s", seconds, "", between, 100 * seconds / between, Goal("at most", 2.0))


def nets() -> dict[str, Params]:
    quick = params.load(project.find_root())
    return {"quick": quick, "ResNet-20": subjects.paper(20, (16, 32, 64))}


@contextmanager
def _in_process(parameters: Params, deterministic: bool) -> Iterator[Round]:
    """Steps of the engine in a process of their own."""
    context = multiprocessing.get_context("spawn")
    parent, child = context.Pipe()
    process = context.Process(
        target=_serve_rounds, args=(parameters, deterministic, BATCHES, child), daemon=True
    )
    process.start()
    child.close()

    def one_round() -> float:
        parent.send("go")
        try:
            speed: float = parent.recv()
        except EOFError:
            raise PipelineError("the process that trains ended; its output is above") from None
        return speed

    yield one_round
    parent.close()
    process.join()


def _serve_rounds(
    parameters: Params, deterministic: bool, batches: int, connection: Connection
) -> None:
    """Make a round for every message, until the connection is closed."""
    backend.select("tensorflow", "cpu", deterministic=deterministic)
    from benchmarks.training import ours

    one_round = ours(parameters, batches)
    try:
        while connection.recv():
            connection.send(one_round())
    except EOFError:
        return


def _seconds_of_a_checkpoint(parameters: Params) -> float:
    """The median, for a training in the middle of its second epoch."""
    from resnet.training.checkpoint import Checkpoints, TrainingState
    from resnet.training.engines.create import create
    from resnet.training.engines.interface import TrainingJob

    images, labels = subjects.images(parameters.train.batch)
    rates = np.full(10_000, 0.01, np.float32)
    job = TrainingJob(parameters.net, subjects.DATA, parameters.train, rates, images, labels)
    engine = create(job)
    results = np.zeros((150, 2), np.float32)
    state = TrainingState(step=500, results=results, best_weights=engine.weights())
    seconds = []
    home = project.state(project.find_root())
    home.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as folder:
        checkpoints = Checkpoints(Path(folder) / "bench", 0)
        with checkpoints.lock(0):
            for _ in range(CHECKPOINTS):
                started = time.perf_counter()
                state.engine_state = engine.state()
                checkpoints.write(state)
                seconds.append(time.perf_counter() - started)
    return median(seconds)
