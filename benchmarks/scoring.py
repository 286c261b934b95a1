"""Rounds of this build's scoring, in the process that calls them: `backend.select` first."""

import time
from typing import Any

import keras

from benchmarks import subjects
from benchmarks.rounds import Round
from resnet.model import backend, forward, precision
from resnet.nets.build import build, published
from resnet.params import Net

BATCH, BATCHES = 256, 4
DEPTH, WIDTHS = 20, (16, 32, 64)


def model(net: Net) -> Any:
    """The published model with its initial weights."""
    return published(net, subjects.DATA, build(net, subjects.DATA).get_weights())


def compiled(net: Net) -> forward.Forward:
    """Its compiled call."""
    return forward.compiled(model(net))


def ours() -> Round:
    """`BATCH` images per call of ResNet-20, in images per second.

    In the precision that is faster on this CPU, which `predict` takes where the predictions agree.
    """
    device = backend.Device(keras.config.backend(), "cpu", backend.cpu_name())
    net = subjects.paper(DEPTH, WIDTHS).net
    call = forward.compiled(model(net), precision.choose(device).precision)
    images, _ = subjects.images(BATCHES * BATCH)

    def one_round() -> float:
        started = time.perf_counter()
        forward.in_batches(call, images, BATCH)
        return len(images) / (time.perf_counter() - started)

    return one_round
