"""Where a training step's time goes, by TensorFlow's profiler: a table of its kinds of operation.

    python -m benchmarks.operations         # ResNet-20
    python -m benchmarks.operations 56

An operation's time is counted whole where others run beside it, as the two gradients of a
convolution do, so that the rows may add up to more than the step.
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks import subjects
from resnet.model import backend

WIDTHS = (16, 32, 64)
STEPS = 8
SHOWN = 15  # kinds of operation, those with the most time first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("depth", nargs="?", type=int, default=20)
    depth = parser.parse_args().depth
    device = backend.select("tensorflow", "cpu", deterministic=True)
    import tensorflow as tf  # only now, as in `benchmarks.run`

    from benchmarks import training

    chosen = subjects.paper(depth, WIDTHS)
    one_round = training.ours(chosen, STEPS)
    one_round()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        speed = one_round()
        tf.profiler.experimental.stop()
        milliseconds, count = operations(Path(folder))
    print(f"{device.name}; ResNet-{depth}, a step of {chosen.train.batch} images in "
          f"{1000 * chosen.train.batch / speed:.0f} ms\n")  # fmt: skip
    print("| operation | ms a step | times a step |\n|---|---|---|")
    for kind, total in milliseconds.most_common(SHOWN):
        print(f"| {kind} | {total / STEPS:.1f} | {count[kind] / STEPS:g} |")


def operations(folder: Path) -> tuple[Counter[str], Counter[str]]:
    """Of what the profiler wrote to `folder`: milliseconds and number of each kind of operation."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    milliseconds: Counter[str] = Counter()
    count: Counter[str] = Counter()
    (written,) = folder.rglob("*.xplane.pb")
    for plane in xplane_pb2.XSpace.FromString(written.read_bytes()).planes:
        for line in plane.lines:
            for event in line.events:
                # An operation's event is called NODE:KIND, anything else otherwise.
                _, _, kind = plane.event_metadata[event.metadata_id].name.partition(":")
                if kind.isidentifier():
                    milliseconds[kind] += event.duration_ps / 1e9
                    count[kind] += 1
    return milliseconds, count


if __name__ == "__main__":
    main()
