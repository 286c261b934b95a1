"""Where a training step's time goes, by TensorFlow's profiler: a table of kinds of operation.

    python -m benchmarks.operations         # ResNet-20
    python -m benchmarks.operations 56

The full time of an operation counts even if others run at the same time, as the two gradients of a
convolution do, so the rows may add up to more than the step.
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks import subjects
from resnet.model import backend

WIDTHS = (16, 32, 64)
STEPS = 8
SHOWN = 15  # kinds of operation, sorted by time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("depth", nargs="?", type=int, default=20)
    depth = parser.parse_args().depth
    device = backend.select("tensorflow", "cpu", deterministic=True)
    import tensorflow as tf  # after the backend is selected

    from benchmarks import training

    parameters = subjects.paper(depth, WIDTHS)
    batch = parameters.train.batch
    one_round = training.ours(parameters, STEPS)
    one_round()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        speed = one_round()
        tf.profiler.experimental.stop()
        milliseconds, count = operations(Path(folder))
    print(
        f"{device.name}; ResNet-{depth}, a step of {batch} images in {1000 * batch / speed:.0f} ms"
        "\n\n| operation | ms per step | times per step |\n|---|---|---|"
    )
    for kind, total in milliseconds.most_common(SHOWN):
        print(f"| {kind} | {total / STEPS:.1f} | {count[kind] / STEPS:g} |")


def operations(folder: Path) -> tuple[Counter[str], Counter[str]]:
    """From the profile in `folder`: milliseconds and number of each kind of operation."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    milliseconds: Counter[str] = Counter()
    count: Counter[str] = Counter()
    (profile,) = folder.rglob("*.xplane.pb")
    for plane in xplane_pb2.XSpace.FromString(profile.read_bytes()).planes:
        for line in plane.lines:
            for event in line.events:
                # The event of an operation is named NODE:KIND; others have other names.
                _, _, kind = plane.event_metadata[event.metadata_id].name.partition(":")
                if kind.isidentifier():
                    milliseconds[kind] += event.duration_ps / 1e9
                    count[kind] += 1
    return milliseconds, count


if __name__ == "__main__":
    main()
