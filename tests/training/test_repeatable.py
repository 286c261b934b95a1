"""The bits of a step do not depend on what else the machine does."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping

REPEATS = 4
STEPS = f"""
import hashlib
import numpy as np
from pathlib import Path
from resnet.model import backend
from resnet import params

def overridden(*overrides):
    return params.check(params.merge(params.read(Path()), Path(), None, overrides))

backend.select("tensorflow", "cpu", deterministic=True)
from resnet.forms.augmentation import draw
from resnet.forms.data_spec import DataSpec
from resnet.training.engines.create import create
from resnet.training.engines.interface import TrainingJob

random = np.random.default_rng(0)
count = 45_000  # with only a few images, differences may not show
images = random.integers(0, 256, (count, 32, 32, 3), np.uint8)
labels = random.integers(0, 10, count, np.uint8)
rates = np.linspace(0.18, 0, 630, dtype=np.float32)
data = DataSpec("image", (32, 32, 3), [125.0] * 3, [62.0] * 3, classes=10)

def repeat(parameters):
    engine = create(TrainingJob(parameters.net, data, parameters.train, rates, images, labels))

    def steps(first, last):
        engine.train(draw("image", 0, 1, range(first, last), count, 250, parameters.train.augment))

    steps(0, 2)
    begin = engine.state()
    for _ in range({REPEATS}):
        engine.restore(begin)
        steps(2, 3)
        weights = b"".join(np.ascontiguousarray(array).tobytes() for array in engine.weights())
        print(parameters.train.precision, hashlib.sha256(weights).hexdigest())

repeat(overridden("train.precision=float32"))
# A narrow network: where a CPU has no instructions for bfloat16, it is slow.
repeat(overridden("train.precision=bfloat16", "net.widths=[4,8,8]", "net.stem_stride=2"))
"""


def test_concurrent_trainings_make_the_same_steps_every_time(
    with_all_cores: Callable[[Mapping[str, str]], dict[str, str]],
) -> None:
    """With params.yaml's own network; each of the two processes disturbs the other's threads.

    With Muon's polynomial as a sum of three terms, an earlier defect, it fails: six times of six,
    on two cores.
    """
    env = with_all_cores(os.environ)
    processes = [
        subprocess.Popen([sys.executable, "-c", STEPS], env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate()[0] for process in processes]
    results = [line for output in outputs for line in output.splitlines()]
    assert [process.returncode for process in processes] == [0, 0]
    assert len(results) == 2 * 2 * REPEATS
    assert sorted(result.split()[0] for result in set(results)) == ["bfloat16", "float32"], results
