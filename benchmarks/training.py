"""Rows about training: the engine against `keras.Model.fit`, PyTorch and matrix products."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks import peer, subjects
from benchmarks.rounds import Round, best_in_turn
from benchmarks.table import Goal, MissingRow, Row, quotient
from resnet.errors import PipelineError
from resnet.evaluation import cost
from resnet.forms.image.draws import draw
from resnet.nets.build import build
from resnet.params import Params
from resnet.training.engines.create import create
from resnet.training.engines.interface import TrainingJob

UNIT = "images/s"
NETS = {  # depth, widths, batches per round
    "ResNet-20": (20, (16, 32, 64), 12),
    "ResNet-56": (56, (16, 32, 64), 4),
    "ResNet-20 of four times the width": (20, (64, 128, 256), 2),
}


def rows(python: Path) -> Iterator[Row | MissingRow]:
    """`python` is the interpreter of PyTorch's environment."""
    for name in NETS:
        yield from _rows_of(name, python)


def matrix_peak() -> float:
    """The most FLOP/s of a float32 product of two matrices, over a few sizes."""
    return max(_product(size) for size in (1024, 2048, 3072))


def _rows_of(name: str, python: Path) -> Iterator[Row | MissingRow]:
    depth, widths, batches = NETS[name]
    parameters = subjects.paper(depth, widths)
    batch = parameters.train.batch
    work = f"train {name}, batch {batch}"
    spec = {"depth": depth, "widths": widths, "batches": batches, "batch": batch}
    plain = name == "ResNet-20"
    own = {"ours": ours(parameters, batches)}
    keras = peer.in_keras(spec) if plain else {}
    try:
        torch = peer.in_torch(python, spec | {"work": "train"})
        with peer.running({**keras, **torch}) as theirs:
            speed = best_in_turn(own | theirs)
        better = max(torch, key=speed.__getitem__)
        yield quotient(work, UNIT, speed["ours"], better, speed[better], Goal("at least", 1.25))
    except PipelineError as error:
        yield MissingRow(f"{work}, against PyTorch", str(error))
        with peer.running(keras) as theirs:
            speed = best_in_turn(own | theirs)
    if plain:
        fit = "keras.Model.fit"
        yield quotient(work, UNIT, speed["ours"], fit, speed[fit], Goal("at least", 1.6))
        model = build(parameters.net, subjects.DATA)
        flops_per_second = 3 * cost.flops(model) * speed["ours"] / 1e9
        yield quotient(
            work, "GFLOP/s", flops_per_second, "float32 matrix product", matrix_peak() / 1e9,
            Goal("at least", 0.6),
        )  # fmt: skip


def ours(parameters: Params, batches: int) -> Round:
    """Steps of the engine, augmentation included."""
    recipe = parameters.train
    images, labels = subjects.images(batches * recipe.batch)
    rates = np.full(10_000, 0.01, np.float32)
    engine = create(TrainingJob(parameters.net, subjects.DATA, recipe, rates, images, labels))

    def one_round() -> float:
        started = time.perf_counter()
        for start in range(0, batches, engine.chunk):
            chunk = range(start, min(start + engine.chunk, batches))
            engine.train(draw(0, 1, chunk, len(labels), recipe.batch, recipe.augment))
        return len(labels) / (time.perf_counter() - started)

    return one_round


def _product(size: int, repeats: int = 5) -> float:
    """FLOP/s of the fastest of `repeats` products of two `size` × `size` matrices."""
    a, b = (tf.random.stateless_normal((size, size), (0, seed)) for seed in range(2))
    seconds = []
    for _ in range(1 + repeats):
        started = time.perf_counter()
        tf.linalg.matmul(a, b).numpy()
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds[1:])
