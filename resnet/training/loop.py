"""The training loop: an engine and its schedule → the history and the best weights."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from resnet.data.arrays import Split
from resnet.data.batches import draw
from resnet.errors import PipelineError, StoppedError
from resnet.params import Train
from resnet.progress import Progress
from resnet.training.checkpoint import Checkpoints, Snapshot
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


@dataclass
class Trainer:
    """One training: what it works with, and how far it has come."""

    engine: Engine
    plan: Plan
    train: Train
    rates: Floats
    validation: Split
    listener: Listener
    progress: Progress
    checkpoints: Checkpoints
    stopped: Callable[[], bool]  # asked between chunks of steps

    step: int = 0
    results: Floats = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    rows: list[Row] = field(default_factory=list)
    best_epoch: int = 0
    best: list[npt.NDArray[Any]] = field(default_factory=list)

    def fit(self) -> Outcome:
        """Train by the plan; keep the weights of the best epoch, or without validation the last.

        Goes on from the newest checkpoint, to the same bits as if nothing had happened. Raises
        PipelineError when the loss is not finite, and StoppedError, with a checkpoint written,
        when `stopped` says yes.
        """
        self._resume()
        self.listener.started(self.plan.steps, self.step)
        first, stepping, started = self.step, 0.0, time.perf_counter()
        for epoch, batches in self.plan.epochs():
            if epoch <= len(self.rows):
                continue
            clock = time.perf_counter()
            self._make_steps(epoch, batches)
            stepping += time.perf_counter() - clock
            self._end_epoch(epoch)
            patience = self.train.early_stop
            if patience is not None and epoch - self.best_epoch >= patience:
                break
        seconds = time.perf_counter() - started
        speed = (self.step - first) * self.plan.batch / max(stepping, 1e-9)
        return Outcome(self.rows, self.best_epoch, self.best, seconds, speed)

    def _make_steps(self, epoch: int, batches: range) -> None:
        """Make the epoch's steps that have not been made, a chunk at a time."""
        plan = self.plan
        while len(self.results) < len(batches):
            clock = time.perf_counter()
            chunk = batches[len(self.results) : len(self.results) + self.engine.chunk]
            draws = draw(self.train.seed, epoch, chunk, plan.images, plan.batch, self.train.augment)
            results = self.engine.train(draws)
            _check(results[:, 0], self.step)
            self.results = np.concatenate([self.results, results])
            self.step += len(chunk)
            speed = len(chunk) * plan.batch / (time.perf_counter() - clock)
            self.progress.advance(
                len(chunk), f"epoch {epoch}, loss {results[-1, 0]:.3f}, {speed:.0f} images/s"
            )
            self._keep()

    def _end_epoch(self, epoch: int) -> None:
        """Write the epoch's row, and keep its weights if it is the best."""
        means = self.results.mean(axis=0, dtype=np.float64)
        row = [epoch, self.step, self.rates[self.step - 1], *means]
        if len(self.validation.labels_n):
            split = self.validation
            row += self.engine.score(split.images_nhwc, split.labels_n).tolist()
        self.rows.append({name: float(value) for name, value in zip(COLUMNS, row, strict=False)})
        self.results = self.results[:0]
        self.listener.epoch(self.rows[-1])
        if not self.best_epoch or _merit(self.rows[-1]) > _merit(self.rows[self.best_epoch - 1]):
            self.best_epoch, self.best = epoch, self.engine.weights()

    def _resume(self) -> None:
        found = self.checkpoints.latest()
        if found is None:
            return
        self.engine.restore(found.state)
        self.step, self.results = found.step, found.results
        self.rows, self.best_epoch, self.best = list(found.rows), found.best_epoch, found.best
        self.progress.advance(found.step, f"going on after step {found.step}")

    def _keep(self) -> None:
        """Write a checkpoint if it is time for one, or the last thing to do."""
        stopped = self.stopped()
        if not (stopped or self.checkpoints.due()):
            return
        state = self.engine.state()
        self.checkpoints.write(
            Snapshot(self.step, state, self.results, self.rows, self.best_epoch, self.best)
        )
        if stopped:
            raise StoppedError(
                f"training was told to end after step {self.step} of {self.plan.steps}: run it "
                "again, and it goes on from there"
            )


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
