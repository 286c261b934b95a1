"""The training loop: an engine and its schedule → the history and the best weights."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from resnet.data.arrays import Split
from resnet.errors import PipelineError, StoppedError
from resnet.forms.augmentation import draw
from resnet.forms.draws import Draws
from resnet.forms.names import FormName
from resnet.params import Train
from resnet.system.progress import Progress
from resnet.training.callback import Callback
from resnet.training.checkpoint import Checkpoints, TrainingState
from resnet.training.engines.interface import Arrays, Engine, Floats
from resnet.training.prefetch import prefetch

CHUNK_SECONDS = 1.0  # of steps, after which training can be interrupted
HistoryRow = dict[str, float]  # of one epoch
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
    """How many steps a training has, and to which epoch each belongs."""

    images: int
    batch: int
    steps: int

    @property
    def steps_per_epoch(self) -> int:
        return self.images // self.batch

    @property
    def epochs(self) -> int:
        """The number of epochs; the last may be a partial one."""
        return math.ceil(self.steps / self.steps_per_epoch)

    def batches(self, epoch: int) -> range:
        """The numbers of an epoch's batches; epochs count from 1, batches from 0."""
        steps_before = (epoch - 1) * self.steps_per_epoch
        return range(min(self.steps - steps_before, self.steps_per_epoch))


@dataclass(frozen=True)
class TrainingResult:
    """What training gives: the history, the best epoch and its weights, and how long it took."""

    rows: list[HistoryRow]
    best_epoch: int
    weights: Arrays
    seconds: float  # of the loop, validation included
    images_per_second: float  # of the steps alone
    devices: int  # that shared each batch


def plan(recipe: Train, images: int, validation: int) -> Plan:
    """The steps of `recipe` over `images` images. Raises PipelineError where there can be none."""
    if images < recipe.batch:
        raise PipelineError(
            f"there are {images} training images, less than one batch of {recipe.batch}: give more "
            "images or set train.batch lower"
        )
    if recipe.early_stop is not None and not validation:
        raise PipelineError(
            f"train.early_stop is {recipe.early_stop}, but it needs validation images and there "
            "are none: set data.validation above 0, or train.early_stop to null"
        )
    steps = recipe.steps or max(1, round((recipe.epochs or 0) * (images // recipe.batch)))
    return Plan(images, recipe.batch, steps)


@dataclass
class Trainer:
    """One training: its parts, and how far it has come."""

    engine: Engine
    plan: Plan
    recipe: Train
    key: str  # identifies its parameters, data and code
    rates: Floats  # the learning rate of each step
    form: FormName  # of the samples
    validation: Split
    callback: Callback
    progress: Progress
    checkpoints: Checkpoints
    stop_requested: Callable[[], bool]  # called between chunks of steps
    diagnose: Callable[[Arrays], HistoryRow] | None = None  # weights → more columns of an epoch
    chunk: int = 1  # steps in the next call of the engine
    state: TrainingState = field(default_factory=TrainingState)

    def fit(self) -> TrainingResult:
        """Train as planned; keep the weights of the best epoch, or of the last without validation.

        Resumes from the newest checkpoint, and ends with the bits of a training that was never
        interrupted. Raises PipelineError when training diverges, and StoppedError, after writing a
        checkpoint, when `stop_requested()` is true.
        """
        self._resume()
        state, clock = self.state, time.perf_counter()
        self.callback.started(self.plan.steps, self.checkpoints.folder, self.key)
        with prefetch(self._draw, last=self.plan.epochs) as draws_of:
            while not self._is_finished():
                self._maybe_checkpoint()
                epoch = len(state.rows) + 1
                if len(state.results) < len(self.plan.batches(epoch)):
                    self._make_steps(epoch, draws_of)
                else:
                    self._end_epoch(epoch)
                before, clock = clock, time.perf_counter()
                state.seconds += clock - before
        state.engine_state = self.engine.state()
        _require_finite(state)
        return TrainingResult(
            state.rows,
            state.best_epoch,
            state.best_weights,
            state.seconds,
            images_per_second=state.step * self.plan.batch / state.step_seconds,
            devices=self.engine.devices,
        )

    def _is_finished(self) -> bool:
        epochs, patience = len(self.state.rows), self.recipe.early_stop
        return epochs == self.plan.epochs or (
            patience is not None and epochs - self.state.best_epoch >= patience
        )

    def _draw(self, epoch: int) -> Draws:
        plan, recipe, batches = self.plan, self.recipe, self.plan.batches(epoch)
        return draw(self.form, recipe.seed, epoch, batches, plan.images, plan.batch, recipe.augment)

    def _make_steps(self, epoch: int, draws_of: Callable[[int], Draws]) -> None:
        """Make the next steps of the epoch, for about `CHUNK_SECONDS`."""
        state, clock = self.state, time.perf_counter()
        first = len(state.results)
        results = self.engine.train(draws_of(epoch).part(slice(first, first + self.chunk)))
        _require_finite_losses(results[:, 0], state.step)
        count = len(results)
        state.results = np.concatenate([state.results, results])
        state.step += count
        seconds = time.perf_counter() - clock
        state.step_seconds += seconds
        self.chunk = min(max(1, int(count * CHUNK_SECONDS / seconds)), self.engine.chunk)
        speed = count * self.plan.batch / seconds
        self.progress.advance(
            count, f"epoch {epoch}, loss {results[-1, 0]:.3f}, {speed:.0f} images per second"
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
        if not state.best_epoch or _selection_score(state.rows[-1]) > _selection_score(best):
            state.best_epoch, state.best_weights = epoch, self.engine.weights()

    def _resume(self) -> None:
        state = self.checkpoints.latest()
        if state is None:
            return
        self.engine.restore(state.engine_state)
        self.state = state
        self.progress.resume(state.step)
        print(f"resuming after step {state.step} of {self.plan.steps}", flush=True)

    def _maybe_checkpoint(self) -> None:
        """Write a checkpoint if one is due or training is to stop; raises StoppedError then."""
        stop = self.stop_requested()
        if not (stop or self.checkpoints.due()):
            return
        self.state.engine_state = self.engine.state()
        _require_finite(self.state)
        self.checkpoints.write(self.state)
        if stop:
            raise StoppedError(
                f"training was interrupted after step {self.state.step} of {self.plan.steps}; run "
                "it again to resume"
            )


def diverged(observation: str) -> PipelineError:
    """The error for an `observation` that something is not a finite number."""
    return PipelineError(
        f"{observation}: training diverged; lower train.schedule.peak or raise "
        "train.schedule.warmup"
    )


def _require_finite_losses(losses: Floats, steps_before: int) -> None:
    """Raise PipelineError where a loss is not finite; `steps_before` come before the first."""
    wrong = np.flatnonzero(~np.isfinite(losses))
    if len(wrong):
        raise diverged(f"the loss is {losses[wrong[0]]} at step {steps_before + wrong[0] + 1}")


def _require_finite(state: TrainingState) -> None:
    """Raise PipelineError rather than write a checkpoint that could never be resumed."""
    if not all(np.isfinite(array).all() for array in state.engine_state):
        raise diverged(f"a weight is not a finite number after step {state.step}")


def _selection_score(row: HistoryRow) -> float:
    """What the best epoch has most of: validation accuracy, or without it the epoch's number."""
    return row.get("validation_accuracy", row["epoch"])
