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

chosen = params.load(Path())
backend.select("tensorflow", "cpu", deterministic=True)
from resnet.forms.image.draws import draw
from resnet.nets.data_spec import DataSpec
from resnet.training.engines.create import create
from resnet.training.engines.interface import TrainingJob

random = np.random.default_rng(0)
count = 45_000  # with a few images only, chance hides what differs
images = random.integers(0, 256, (count, 32, 32, 3), np.uint8)
labels = random.integers(0, 10, count, np.uint8)
rates = np.linspace(0.18, 0, 630, dtype=np.float32)
data = DataSpec([125.0] * 3, [62.0] * 3, classes=10)
made = create(TrainingJob(chosen.net, data, chosen.train, rates, images, labels))

def steps(first, last):
    made.train(draw(0, 1, range(first, last), count, 250, chosen.train.augment))

steps(0, 2)
begin = made.state()
for _ in range({REPEATS}):
    made.restore(begin)
    steps(2, 3)
    weights = b"".join(np.ascontiguousarray(one).tobytes() for one in made.weights())
    print(hashlib.sha256(weights).hexdigest())
"""


def test_trainings_beside_each_other_make_the_same_steps_again_and_again(
    with_all_cores: Callable[[Mapping[str, str]], dict[str, str]],
) -> None:
    """With params.yaml's own network; each of the two keeps the other from its threads.

    With Muon's polynomial as a sum of three terms, an earlier fault, it fails: six times of six, on
    two cores.
    """
    env = with_all_cores(os.environ)
    both = [
        subprocess.Popen([sys.executable, "-c", STEPS], env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    hashes = [line for one in both for line in one.communicate()[0].splitlines()]
    assert [one.returncode for one in both] == [0, 0]
    assert len(hashes) == 2 * REPEATS
    assert len(set(hashes)) == 1, hashes
