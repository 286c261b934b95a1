"""The same network trained by plain `keras.Model.fit`: a line "go" in, images per second out.

In a process of its own, as a user would start it: what `backend.select` sets for TensorFlow is not
set here. There is no augmentation and no weight decay.

    python -m benchmarks.keras_peer '{"depth": 20, "widths": [16, 32, 64], "batch": 128,
                                      "batches": 32}'
"""

import json
import sys
import time

import keras

from benchmarks import subjects
from resnet.nets.build import build


def main() -> None:
    spec = json.loads(sys.argv[1])
    batch = spec["batch"]
    images, labels = subjects.images(spec["batches"] * batch)
    net = subjects.paper(spec["depth"], spec["widths"]).net
    model = build(net, subjects.DATA)
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for _ in sys.stdin:
        started = time.perf_counter()
        model.fit(images, labels, batch_size=batch, epochs=1, verbose=0)
        print(len(labels) / (time.perf_counter() - started), flush=True)


if __name__ == "__main__":
    main()
