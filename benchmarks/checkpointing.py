"""The row about checkpoints: how much of the time between two of them writing one takes."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import subjects
from benchmarks.table import Measurement, Setting
from resnet import params
from resnet.checkout import project
from resnet.model import backend
from resnet.params import Params

CHECKPOINTS = 20


def measure(setting: Setting, preset: str) -> Iterator[Measurement]:
    """The seconds of a checkpoint, in % of the time from one to the next."""
    backend.select("tensorflow", "cpu")
    parameters = params.check(params.merge(params.read(setting.root), setting.root, preset, []))
    seconds = _seconds_of_a_checkpoint(parameters)
    between = parameters.runtime.checkpoint_seconds
    yield Measurement("s", seconds, between, 100 * seconds / between)


def _seconds_of_a_checkpoint(parameters: Params) -> float:
    """The median, for a training in the middle of its second epoch."""
    from benchmarks import training
    from resnet.training.checkpoint import Checkpoints, TrainingState

    images, labels = subjects.images(parameters.train.batch)
    engine = training.engine(parameters, images, labels)
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
