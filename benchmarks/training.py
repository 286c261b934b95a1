"""Rounds of this build's training steps, in the process that calls them: `backend.select` first."""

import time
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import subjects
from benchmarks.rounds import Round
from resnet.evaluation import cost
from resnet.forms.augmentation import draw
from resnet.model import backend, precision
from resnet.nets.build import build
from resnet.params import Net, Params, Train
from resnet.training.engines.create import create
from resnet.training.engines.interface import Engine, TrainingJob


def engine(parameters: Params, images: Any, labels: Any) -> Engine:
    """The engine before its first step, in the precision that the train stage takes here."""
    rates = np.full(10_000, 0.01, np.float32)
    recipe = _with_precision(parameters.train)
    return create(TrainingJob(parameters.net, subjects.DATA, recipe, rates, images, labels))


def _with_precision(recipe: Train) -> Train:
    if recipe.precision != "auto":
        return recipe
    choice = precision.on_cpu(backend.cpu_flags(), lambda: precision.measure(recipe.backend))
    return recipe.model_copy(update={"precision": choice.precision})


def ours(parameters: Params, batches: int) -> Round:
    """Steps of the engine in images per second, augmentation included."""
    recipe = parameters.train
    images, labels = subjects.images(batches * recipe.batch)
    trained = engine(parameters, images, labels)

    def one_round() -> float:
        started = time.perf_counter()
        for start in range(0, batches, trained.chunk):
            chunk = range(start, min(start + trained.chunk, batches))
            trained.train(draw("image", 0, 1, chunk, len(labels), recipe.batch, recipe.augment))
        return len(labels) / (time.perf_counter() - started)

    return one_round


def flops_per_image(net: Net) -> float:
    """The operations of a step, forward and backward."""
    return 3 * cost.flops(build(net, subjects.DATA))


def matrix_peak() -> float:
    """The most FLOP/s of a float32 product of two matrices, over a few sizes."""
    return max(_product(size) for size in (1024, 2048, 3072))


def _product(size: int, repeats: int = 5) -> float:
    """FLOP/s of the fastest of `repeats` products of two `size` × `size` matrices."""
    a, b = (tf.random.stateless_normal((size, size), (0, seed)) for seed in range(2))
    seconds = []
    for _ in range(1 + repeats):
        started = time.perf_counter()
        tf.linalg.matmul(a, b).numpy()
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds[1:])
