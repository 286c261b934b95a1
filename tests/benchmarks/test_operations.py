"""`python -m benchmarks.operations` counts what a step of a network is made of."""

import re
import subprocess
import sys

from tests.support import REPOSITORY


def test_each_convolution_and_each_of_its_gradients_is_counted_once_a_step() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.operations", "8"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # oneDNN's operations have a prefix, where they are taken.
    rows = re.findall(r"^\| (?:_MklNative)?(\w+) \| ([\d.]+) \| (\d+) \|$", done.stdout, re.M)
    times = {kind: int(count) for kind, _, count in rows}
    # ResNet-8 has 7 convolutions, and the images at the first need no gradient.
    assert times["Conv2D"] == times["Conv2DBackpropFilter"] == 7
    assert times["Conv2DBackpropInput"] == 6
    (step,) = re.findall(r"a step of 128 images in (\d+) ms", done.stdout)
    milliseconds = {kind: float(one) for kind, one, _ in rows}
    assert 0 < milliseconds["Conv2D"] < int(step)  # one after another
