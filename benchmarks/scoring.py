"""The row about scoring: the compiled call of a published model against PyTorch."""

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import peer, subjects
from benchmarks.rounds import Round, best_in_turn
from benchmarks.table import Goal, MissingRow, Row, quotient
from resnet.errors import PipelineError
from resnet.model import forward
from resnet.nets.build import build, published

BATCH, BATCHES = 256, 4
DEPTH, WIDTHS = 20, (16, 32, 64)


def rows(python: Path) -> Iterator[Row | MissingRow]:
    """`python` is the interpreter of PyTorch's environment."""
    work = f"score with ResNet-{DEPTH}, {BATCH} images per call"
    spec = {"work": "score", "depth": DEPTH, "widths": WIDTHS, "batch": BATCH, "batches": BATCHES}
    try:
        with peer.running(peer.in_torch(python, spec)) as theirs:
            speed = best_in_turn({"ours": ours()} | theirs)
            better = max(theirs, key=speed.__getitem__)
            goal = Goal("at least", 1.2)
            yield quotient(work, "images/s", speed["ours"], better, speed[better], goal)
    except PipelineError as error:
        yield MissingRow(work, str(error))


def ours() -> Round:
    """The compiled call of the published model."""
    net = subjects.paper(DEPTH, WIDTHS).net
    weights = build(net, subjects.DATA).get_weights()
    call = forward.compiled(published(net, subjects.DATA, weights))
    images, _ = subjects.images(BATCHES * BATCH)

    def one_round() -> float:
        started = time.perf_counter()
        forward.in_batches(call, images, BATCH)
        return len(images) / (time.perf_counter() - started)

    return one_round
