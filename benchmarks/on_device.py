"""What benchmarks.gpu measures on a device, in a process of its own: one line of JSON.

For FOLDER …, in each of which the same network was trained with another seed: the test accuracies
of the published models, the device's peak performance, and what a training step needs of it.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from resnet import params
from resnet.system import files

ROUNDS = 5
PASSES = 14  # over a convolution's maps per step, see `least_bytes`


def main() -> None:
    from resnet.model import backend

    folders = [Path(folder) for folder in sys.argv[1:]]
    backend.select("jax", params.load(folders[0]).train.device)
    print(json.dumps({"accuracies": [*map(accuracy, folders)], "roofline": roofline(folders[0])}))


def accuracy(folder: Path) -> float:
    """The test accuracy of the published model."""
    parameters = enter(folder)
    from resnet.data import arrays
    from resnet.model import forward, model_file

    test = arrays.load(parameters.paths, "test")
    call = forward.compiled(model_file.load(parameters.paths.model))
    predicted = forward.in_batches(call, np.asarray(test.images_nhwc), 500).argmax(axis=1)
    return float((predicted == test.labels_n).mean())


def roofline(folder: Path) -> dict[str, Any]:
    """Operations and bytes: per second on the device, and per image of the network."""
    parameters = enter(folder)
    import jax

    from resnet.evaluation import cost
    from resnet.forms.data_spec import DataSpec
    from resnet.nets.build import build

    # Not the published model, which may score several views of an image.
    model = build(parameters.net, DataSpec("image", (32, 32, 3), [0.0] * 3, [1.0] * 3, classes=10))
    gpu = jax.devices()[0].platform == "gpu"
    net, precision = parameters.net, files.read_json(parameters.paths.training)["precision"]
    return {
        "net": f"{net.block} {net.shortcut} {'-'.join(map(str, net.widths))}",
        "depth": net.depth,
        "precision": precision,
        "flops_per_second": matrix_peak(precision, (4096, 8192) if gpu else (1024,)),
        "bytes_per_second": memory_peak(1 << (28 if gpu else 24)),
        "flops_per_image": 3 * cost.flops(model),
        "bytes_per_image": least_bytes(model, {"float32": 4, "bfloat16": 2}[precision]),
    }


def enter(folder: Path) -> params.Params:
    """Make `folder`, an absolute path, the working directory. Returns its parameters."""
    os.chdir(folder)
    return params.load(folder)


def matrix_peak(precision: str, sides: Sequence[int]) -> float:
    """Floating-point operations per second in products of square matrices of the best size."""
    import jax
    import jax.numpy as jnp

    product = jax.jit(jnp.matmul)
    squares = [jnp.ones((side, side), precision) for side in sides]
    return max(2 * len(a) ** 3 / best_seconds(partial(product, a, a)) for a in squares)


def memory_peak(count: int) -> float:
    """Bytes per second, read and written, in adding one to each of `count` float32 numbers."""
    import jax
    import jax.numpy as jnp

    increased, x = jax.jit(lambda x: x + 1), jnp.zeros(count, jnp.float32)
    return 8 * count / best_seconds(lambda: increased(x))


def best_seconds(work: Callable[[], Any]) -> float:
    """The least seconds of `ROUNDS` calls, after one that compiles."""
    seconds = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        work().block_until_ready()
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def least_bytes(model: Any, itemsize: int) -> int:
    """Bytes that a training step moves per image if everything is fused that can be.

    `PASSES` counts the passes over the maps of a convolution with its normalisation and activation.
    Forward: the convolution reads and writes, the statistics read, the normalisation reads and
    writes (5). Backward: two sums read the maps and their gradient (2), the normalisation's
    gradient reads both and writes (3), the gradient of the convolution's input reads and writes
    (2), that of its kernel reads both (2).
    """
    convolutions = [layer for layer in layers(model) if len(getattr(layer, "kernel_size", ())) == 2]
    numbers: int = sum(prod(layer.output.shape[1:]) for layer in convolutions)
    return PASSES * itemsize * numbers


def layers(model: Any) -> Iterator[Any]:
    """The layers of a model and of the models within it."""
    for layer in model.layers:
        yield from layers(layer) if hasattr(layer, "layers") else [layer]


if __name__ == "__main__":
    main()
