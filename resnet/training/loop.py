"""The training loop: an engine and its schedule → the history and the best weights."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from resnet.data.arrays import Split
from resnet.errors import PipelineError, StoppedError
from resnet.forms.image.draws import Draws, draw
from resnet.params import Train
from resnet.system.progress import Progress
from resnet.training.callback import Callback
from resnet.training.checkpoint import Arrays, Checkpoints, State
from resnet.training.engines.interface import Engine, Floats
from resnet.training.prefetch import ahead

CHUNK_SECONDS = 1.0  # of steps, after which training can end
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

    @property
    def epochs(self) -> int:
        """How many there are, the last of which may be a part of one."""
        return math.ceil(self.steps / self.steps_per_epoch)

    def batches(self, epoch: int) -> range:
        """The numbers of an epoch's batches; epochs count from 1, batches from 0."""
        before = (epoch - 1) * self.steps_per_epoch
        return range(min(self.steps - before, self.steps_per_epoch))


@dataclass(frozen=True)
class Outcome:
    """What training gives: the history, the best epoch and its weights, and how long it took."""

    rows: list[Row]
    best_epoch: int
    weights: list[npt.NDArray[Any]]
    seconds: float  # of the loop, validation included
    images_per_second: float  # of the steps alone
    devices: int  # that shared each batch


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
    recipe: Train
    key: str  # what stands for its parameters, data and code
    rates: Floats
    validation: Split
    callback: Callback
    progress: Progress
    checkpoints: Checkpoints
    stopped: Callable[[], bool]  # asked between chunks of steps
    diagnose: Callable[[Arrays], Row] | None = None  # more columns for an epoch, by its weights
    chunk: int = 1  # steps in the next call of the engine
    state: State = field(default_factory=State)

    def fit(self) -> Outcome:
        """Train by the plan; keep the weights of the best epoch, or without validation the last.

        Goes on from the newest checkpoint, to the same bits as if nothing had happened. Raises
        PipelineError when training diverges, and StoppedError, with a checkpoint written, when
        `stopped` says yes.
        """
        self._resume()
        state, clock = self.state, time.perf_counter()
        self.callback.started(self.plan.steps, self.checkpoints.folder, self.key)
        with ahead(self._draw, last=self.plan.epochs) as drawn:
            while not self._ended():
                self._keep()
                epoch = len(state.rows) + 1
                if len(state.results) < len(self.plan.batches(epoch)):
                    self._make_steps(epoch, drawn)
                else:
                    self._end_epoch(epoch)
                before, clock = clock, time.perf_counter()
                state.seconds += clock - before
        state.engine = self.engine.state()
        _check_state(state)
        speed = state.step * self.plan.batch / state.stepping
        return Outcome(
            state.rows, state.best_epoch, state.best, state.seconds, speed, self.engine.devices
        )

    def _ended(self) -> bool:
        epochs, patience = len(self.state.rows), self.recipe.early_stop
        return epochs == self.plan.epochs or (
            patience is not None and epochs - self.state.best_epoch >= patience
        )

    def _draw(self, epoch: int) -> Draws:
        plan, batches = self.plan, self.plan.batches(epoch)
        return draw(self.recipe.seed, epoch, batches, plan.images, plan.batch, self.recipe.augment)

    def _make_steps(self, epoch: int, drawn: Callable[[int], Draws]) -> None:
        """Make the first of the epoch's steps that are left, about `CHUNK_SECONDS` of them."""
        state, clock = self.state, time.perf_counter()
        made = len(state.results)
        results = self.engine.train(drawn(epoch).part(slice(made, made + self.chunk)))
        _check(results[:, 0], state.step)
        count = len(results)
        state.results = np.concatenate([state.results, results])
        state.step += count
        seconds = time.perf_counter() - clock
        state.stepping += seconds
        self.chunk = min(max(1, int(count * CHUNK_SECONDS / seconds)), self.engine.chunk)
        speed = count * self.plan.batch / seconds
        self.progress.advance(
            count, f"epoch {epoch}, loss {results[-1, 0]:.3f}, {speed:.0f} images/s"
        )

    def _end_epoch(self, epoch: int) -> None:
        """Write the epoch's row, and keep its weights if it is the best."""
        state, split = self.state, self.validation
        means = state.results.mean(axis=0, dtype=np.float64)
        row = [epoch, state.step, self.rates[state.step - 1], *means]
        if len(split.labels_n):
            scores = self.engine.score(split.images_nhwc, split.labels_n)
            if not np.isfinite(scores).all():
                raise diverged(f"the validation loss is {scores[0]} after step {state.step}")
            row += scores.tolist()
        state.rows.append({name: float(value) for name, value in zip(COLUMNS, row, strict=False)})
        if self.diagnose is not None:
            state.rows[-1] |= self.diagnose(self.engine.weights())
        state.results = state.results[:0]
        self.callback.epoch(state.rows[-1])
        best = state.rows[state.best_epoch - 1]
        if not state.best_epoch or _merit(state.rows[-1]) > _merit(best):
            state.best_epoch, state.best = epoch, self.engine.weights()

    def _resume(self) -> None:
        found = self.checkpoints.latest()
        if found is None:
            return
        self.engine.restore(found.engine)
        self.state = found
        self.progress.resume(found.step)
        print(f"going on after step {found.step} of {self.plan.steps}", flush=True)

    def _keep(self) -> None:
        """Write a checkpoint if it is time for one, or the last thing to do."""
        stopped = self.stopped()
        if not (stopped or self.checkpoints.due()):
            return
        self.state.engine = self.engine.state()
        _check_state(self.state)
        self.checkpoints.write(self.state)
        if stopped:
            raise StoppedError(
                f"training was told to end after step {self.state.step} of {self.plan.steps}: run "
                "it again, and it goes on from there"
            )


def diverged(found: str) -> PipelineError:
    """What to raise where `found` is no finite number, and so nothing to go on with."""
    return PipelineError(
        f"{found}: training diverged; lower train.schedule.peak or raise train.schedule.warmup"
    )


def _check(losses: Floats, before: int) -> None:
    """Raise PipelineError where a loss is not finite; `before` steps were made before the first."""
    wrong = np.flatnonzero(~np.isfinite(losses))
    if len(wrong):
        raise diverged(f"the loss is {losses[wrong[0]]} at step {before + wrong[0] + 1}")


def _check_state(state: State) -> None:
    """Raise PipelineError rather than keep what could never go on."""
    if not all(np.isfinite(array).all() for array in state.engine):
        raise diverged(f"a weight is not a finite number after step {state.step}")


def _merit(row: Row) -> float:
    """By what epochs are compared: the validation accuracy, or else the later is the better."""
    return row.get("validation_accuracy", row["epoch"])
