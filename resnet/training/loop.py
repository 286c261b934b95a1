"""The training loop: an engine and its schedule → the history and the best weights."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resnet.data.arrays import Split
from resnet.data.batches import draw
from resnet.errors import PipelineError
from resnet.params import Train
from resnet.progress import Progress
from resnet.training.engine import Engine, Floats
from resnet.training.listener import Listener

Row = dict[str, float]  # one epoch of the history
COLUMNS = (
    "epoch",
    "step",
    "learning_rate",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
)


@dataclass(frozen=True)
class Plan:
    """How many steps there are, and to which epoch each belongs."""

    images: int
    batch: int
    steps: int

    @property
    def steps_per_epoch(self) -> int:
        return self.images // self.batch

    def first(self, epoch: int) -> int:
        """How many steps are made before the first of `epoch`."""
        return (epoch - 1) * self.steps_per_epoch

    def epochs(self) -> Iterator[tuple[int, range]]:
        """Each epoch's number, from 1, and its batches' numbers; the last epoch may be a part."""
        for epoch in range(1, math.ceil(self.steps / self.steps_per_epoch) + 1):
            yield epoch, range(min(self.steps - self.first(epoch), self.steps_per_epoch))


@dataclass(frozen=True)
class Outcome:
    """What training gives: the history, the best epoch and its weights, and how long it took."""

    rows: list[Row]
    best_epoch: int
    weights: list[npt.NDArray[Any]]
    seconds: float  # of the loop, validation included
    images_per_second: float  # of the steps alone


def plan(train: Train, images: int, validation: int) -> Plan:
    """The steps of `train` over `images` images. Raises PipelineError where they cannot be made."""
    if images < train.batch:
        raise PipelineError(
            f"there are {images} training images, less than one batch of {train.batch}: give more "
            "images or set train.batch lower"
        )
    if train.early_stop is not None and not validation:
        raise PipelineError(
            f"train.early_stop is {train.early_stop}, but there are no validation images to stop "
            "by: set data.validation above 0, or train.early_stop to null"
        )
    steps = train.steps or max(1, round((train.epochs or 0) * (images // train.batch)))
    return Plan(images, train.batch, steps)


def fit(
    engine: Engine,
    plan: Plan,
    train: Train,
    rates: Floats,
    validation: Split,
    listener: Listener,
    progress: Progress,
    stopped: Callable[[], bool],
) -> Outcome:
    """Train by `plan`; keep the weights of the best epoch, or the last with no validation images.

    `stopped` is asked between chunks of steps. Raises PipelineError when it says yes, and when the
    loss is not finite.
    """
    rows: list[Row] = []
    best, stepping = 0, 0.0
    started = time.perf_counter()
    listener.started(plan.steps)
    for epoch, batches in plan.epochs():
        clock = time.perf_counter()
        results = _epoch(engine, plan, train, epoch, batches, progress, stopped)
        stepping += time.perf_counter() - clock
        step = plan.first(epoch) + len(batches)
        row = [epoch, step, rates[step - 1], *results.mean(axis=0, dtype=np.float64)]
        if len(validation.labels_n):
            row += engine.score(validation.images_nhwc, validation.labels_n).tolist()
        rows.append({name: float(value) for name, value in zip(COLUMNS, row, strict=False)})
        listener.epoch(rows[-1])

        if not best or _merit(rows[-1]) > _merit(rows[best - 1]):
            best, weights = epoch, engine.weights()
        if train.early_stop is not None and epoch - best >= train.early_stop:
            break
    seconds = time.perf_counter() - started
    return Outcome(rows, best, weights, seconds, step * plan.batch / stepping)


def _epoch(
    engine: Engine,
    plan: Plan,
    train: Train,
    epoch: int,
    batches: range,
    progress: Progress,
    stopped: Callable[[], bool],
) -> Floats:
    """The loss and the share recognised of each step of an epoch, float32 (steps, 2)."""
    results: list[Floats] = []
    started = time.perf_counter()
    for start in batches[:: engine.chunk]:
        chunk = range(start, min(start + engine.chunk, len(batches)))
        draws = draw(train.seed, epoch, chunk, plan.images, plan.batch, train.augment)
        results.append(engine.train(draws))
        _check(results[-1][:, 0], plan.first(epoch) + start)
        speed = chunk.stop * plan.batch / (time.perf_counter() - started)
        loss = results[-1][-1, 0]
        progress.advance(len(chunk), f"epoch {epoch}, loss {loss:.3f}, {speed:.0f} images/s")
        if stopped():
            step = plan.first(epoch) + chunk.stop
            raise PipelineError(
                f"training was told to end (SIGTERM) after step {step} of {plan.steps}, and no "
                "model was written: run 'resnet train' again"
            )
    return np.concatenate(results)


def _check(losses: Floats, before: int) -> None:
    """Raise PipelineError where a loss is not finite; `before` steps were made before the first."""
    wrong = np.flatnonzero(~np.isfinite(losses))
    if len(wrong):
        raise PipelineError(
            f"the loss is {losses[wrong[0]]} at step {before + wrong[0] + 1}: training diverged; "
            "lower train.schedule.peak or raise train.schedule.warmup"
        )


def _merit(row: Row) -> float:
    """By what epochs are compared: the validation accuracy, or else the later is the better."""
    return row.get("validation_accuracy", row["epoch"])
