"""The cost of a model: its parameters, its operations, and the time that a call takes."""

from collections.abc import Callable, Iterator
from math import prod
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from resnet.evaluation.metrics import THROUGHPUT_BATCH
from resnet.model.forward import Forward

WARM_UP = 3
LATENCY_CALLS = 50
THROUGHPUT_CALLS = 7


def parameters(model: Any) -> int:
    """The trainable parameters of a `keras.Model`."""
    return sum(prod(weight.shape) for weight in model.trainable_variables)


def flops(model: Any) -> int:
    """Floating-point operations per image in convolutions and dense layers.

    A multiplication and its addition count as two (He et al. 2015 count them as one). Each kernel
    entry is used once at every position of the output, and again in each further call of its layer.
    """
    return sum(
        2 * calls * prod(layer.output.shape[1:-1]) * prod(layer.kernel.shape)
        for layer, calls in _layers(model)
        if hasattr(layer, "kernel")
    )


def latency_ms(forward: Forward, images_nhwc: np.ndarray) -> float:
    """Milliseconds per call with one image: the median of warm calls."""
    image_1hwc = np.ascontiguousarray(images_nhwc[:1])
    return 1e3 * _median_seconds(lambda: forward(image_1hwc), LATENCY_CALLS)


def throughput(forward: Forward, images_nhwc: np.ndarray) -> float:
    """Images per second in batches of 256: the median of warm calls.

    Where there are fewer images, they are repeated.
    """
    batch_nhwc = np.resize(
        images_nhwc[:THROUGHPUT_BATCH], (THROUGHPUT_BATCH, *images_nhwc.shape[1:])
    )
    return THROUGHPUT_BATCH / _median_seconds(lambda: forward(batch_nhwc), THROUGHPUT_CALLS)


def _median_seconds(call: Callable[[], object], calls: int) -> float:
    seconds = []
    for _ in range(WARM_UP + calls):
        start = perf_counter()
        call()
        seconds.append(perf_counter() - start)
    return median(seconds[WARM_UP:])


def _layers(model: Any, calls: int = 1) -> Iterator[tuple[Any, int]]:
    """The layers of a model and of the models in it, and how often each is called per image."""
    configs = {layer["config"]["name"]: layer for layer in model.get_config()["layers"]}
    for layer in model.layers:
        own = calls * len(configs[layer.name].get("inbound_nodes", [None]))
        if hasattr(layer, "layers"):
            yield from _layers(layer, own)
        else:
            yield layer, own
