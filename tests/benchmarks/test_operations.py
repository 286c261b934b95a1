"""`python -m benchmarks.operations` counts the operations of a training step."""

import re
import subprocess
import sys

from tests.support import REPOSITORY


def test_each_convolution_and_each_of_its_gradients_is_counted_once_per_step() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.operations", "8"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    # oneDNN's operations have a prefix, where they are used.
    rows = re.findall(r"^\| (?:_MklNative)?(\w+) \| ([\d.]+) \| (\d+) \|$", process.stdout, re.M)
    times = {kind: int(count) for kind, _, count in rows}
    # ResNet-8 has 7 convolutions, and the images at the first need no gradient.
    assert times["Conv2D"] == times["Conv2DBackpropFilter"] == 7
    assert times["Conv2DBackpropInput"] == 6
    (step,) = re.findall(r"a step of 128 images in (\d+) ms", process.stdout)
    milliseconds = {kind: float(total) for kind, total, _ in rows}
    assert 0 < milliseconds["Conv2D"] < int(step)  # one after another
