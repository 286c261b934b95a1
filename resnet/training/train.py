"""The train stage: arrays and profile in, the published model, its history and its record out."""

import csv
import hashlib
import importlib.metadata
import json
import math
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from resnet.checkout import checkpoint_folders, provenance
from resnet.data import arrays
from resnet.errors import PipelineError, StoppedError
from resnet.forms.image.shape import CHANNELS
from resnet.model import backend
from resnet.nets.data_spec import DataSpec
from resnet.params import Net, Params, Paths, Runtime, Train
from resnet.system import disk_errors, files
from resnet.system.progress import Progress
from resnet.system.termination import Stop
from resnet.training.callback import Callback, NullCallback
from resnet.training.checkpoint import Checkpoints
from resnet.training.engines import multi_process
from resnet.training.engines.interface import Bytes, Engine, Floats, TrainingJob
from resnet.training.loop import COLUMNS, Outcome, Plan, Row, Trainer, diverged, plan
from resnet.training.schedule import rates

PROBED = 10  # training images that a model is asked about before it is published

if TYPE_CHECKING:
    import keras

    from resnet.training.diagnostics import Diagnostics


@dataclass(frozen=True)
class Inputs:
    """What is trained on, in memory: what becomes of the files later does not matter."""

    images: arrays.Split
    validation: arrays.Split
    data: DataSpec

    @classmethod
    def read(cls, paths: Paths) -> Self:
        """Raises PipelineError where something is missing or damaged."""
        images, validation = (arrays.load(paths.arrays, name) for name in ("train", "validation"))
        return cls(images, validation, _data_spec(paths.profile))

    def hash(self, key: str) -> str:
        """SHA-256, hex, of all of it and of `key`."""
        state = hashlib.sha256(json.dumps([key, asdict(self.data)]).encode())
        for split in (self.images, self.validation):
            for array in (split.images_nhwc, split.labels_n):
                state.update(f"{array.shape}".encode())
                state.update(np.ascontiguousarray(array).data)
        return state.hexdigest()


def run(params: Params, root: Path, callback: Callback | None, stop: Stop) -> None:
    """The stage in the checkout at `root`: `train` with its key and the folder of checkpoints."""
    key = provenance.training_key(params, root)
    checkpoints = checkpoint_folders.home(root)
    train(params.net, params.train, params.paths, params.runtime, checkpoints, key, callback, stop)


def train(
    net: Net,
    recipe: Train,
    paths: Paths,
    runtime: Runtime,
    checkpoints: Path,
    key: str,
    callback: Callback | None,
    stop: Stop,
) -> None:
    """Train `net` on the arrays, and write paths.model, paths.history and paths.training.

    Its state is kept below `checkpoints`, in a folder of its own for each combination of inputs
    and `key`, which stands for the parameters and the code. The folder is removed at the end; an
    interrupted training is resumed from it.

    Raises PipelineError where there is no such device, the data do not fit or training diverges,
    and StoppedError where `stop`, which the caller has entered, says so or the process that reads
    the output has ended; `callback` is then told, and nothing is written but a checkpoint.
    """
    callback = callback or NullCallback()
    inputs = Inputs.read(paths)
    device = backend.select(
        recipe.backend, recipe.device, deterministic=recipe.deterministic, together=True
    )
    fingerprint = inputs.hash(key)
    if device.processes > 1:
        multi_process.agree(fingerprint)
    if device.process:
        stop.defer()  # process 0 decides when all of them end
        multi_process.follow(_engine(net, recipe, inputs)[0])
        return
    kept = Checkpoints(checkpoints / fingerprint, runtime.checkpoint_seconds)
    with kept.held(runtime.lock_seconds), _ending(callback):
        model, outcome, setup = _run(net, recipe, runtime, inputs, kept, key, callback, stop)
        with disk_errors.writing(paths.model):
            name = _write(model, outcome, setup, device, paths)
        callback.finished(name)
        kept.clear()


@contextmanager
def _ending(callback: Callback) -> Iterator[None]:
    """Tell the callback where the block raises."""
    try:
        yield
    except StoppedError as error:
        callback.stopped(str(error))
        raise
    except BaseException as error:
        callback.failed(str(error) or type(error).__name__)
        raise


def _run(
    net: Net,
    recipe: Train,
    runtime: Runtime,
    inputs: Inputs,
    checkpoints: Checkpoints,
    key: str,
    callback: Callback,
    stop: Stop,
) -> "tuple[keras.Model, Outcome, float]":
    """Train, and give the best epoch's model in its published form.

    With it what the engine took until its first step, in seconds: on JAX it is compiled by then.
    """
    from resnet.nets.build import published

    clock = time.perf_counter()
    engine, steps, table = _engine(net, recipe, inputs)
    setup = time.perf_counter() - clock
    diagnose = _diagnostics(net, recipe, inputs) if recipe.diagnostics else None
    stop.defer()
    with (
        closing(engine),
        Progress("train", steps.steps, "steps", runtime.progress_seconds) as progress,
    ):
        outcome = Trainer(
            engine=engine,
            plan=steps,
            recipe=recipe,
            key=key,
            rates=table,
            validation=inputs.validation,
            callback=callback,
            progress=progress,
            checkpoints=checkpoints,
            stopped=lambda: stop.asked() or progress.unread,
            diagnose=diagnose,
        ).fit()
    model = published(net, inputs.data, outcome.weights)
    _check_outputs(model, inputs.images.images_nhwc[:PROBED])
    return model, outcome, setup


def _check_outputs(model: "keras.Model", images_nhwc: Bytes) -> None:
    """Raise PipelineError rather than publish what could recognise nothing."""
    outputs = np.asarray(model(np.asarray(images_nhwc), training=False))
    wrong = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
    if len(wrong):
        raise diverged(
            f"the model's output is no finite number for {len(wrong)} of {len(outputs)} training "
            "images"
        )


def _engine(net: Net, recipe: Train, inputs: Inputs) -> tuple[Engine, Plan, Floats]:
    """The engine at its first step, the steps to make and the rate of each."""
    from resnet.training.engines.create import create

    images = inputs.images
    steps = plan(recipe, len(images.labels_n), len(inputs.validation.labels_n))
    table = rates(recipe.schedule, steps.steps)
    job = TrainingJob(net, inputs.data, recipe, table, images.images_nhwc, images.labels_n)
    return create(job), steps, table


def _diagnostics(net: Net, recipe: Train, inputs: Inputs) -> "Diagnostics":
    """A probe that looks at as many training images as a step, from all over the split."""
    from resnet.training.diagnostics import Diagnostics

    images, labels = inputs.images.images_nhwc, inputs.images.labels_n
    chosen = np.linspace(0, len(labels) - 1, recipe.batch).astype(int)
    return Diagnostics(net, inputs.data, images[chosen], labels[chosen])


def _write(
    model: "keras.Model", outcome: Outcome, setup: float, device: backend.Device, paths: Paths
) -> str:
    """Write the stage's outputs. Returns the model's hash."""
    from resnet.model import model_file  # it imports Keras, and so must wait for the backend

    name = model_file.model_hash(model)
    model_file.save(model, paths.model)
    _write_history(outcome.rows, paths.history)
    files.write_json(
        paths.training,
        {
            "model_hash": name,
            "parameters": sum(math.prod(one.shape) for one in model.trainable_variables),
            "backend": device.backend,
            "device": device.kind,
            "device_name": device.name,
            "devices": outcome.devices,
            "epochs": len(outcome.rows),
            "steps": int(outcome.rows[-1]["step"]),
            "best_epoch": outcome.best_epoch,
            "setup_seconds": round(setup, 3),
            "seconds": round(outcome.seconds, 3),
            "images_per_second": round(outcome.images_per_second, 1),
            "versions": _versions(device.backend),
            "cpu": backend.cpu_name(),
        },
    )
    return name


def _data_spec(profile: Path) -> DataSpec:
    try:
        found: dict[str, Any] = files.read_json(profile)
        mean, deviation, classes = found["mean"], found["deviation"], len(found["classes"])
    except FileNotFoundError:
        raise PipelineError(f"{profile} is not there: run 'resnet ingest' or 'dvc repro'") from None
    except (ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            f"{profile} holds no mean, deviation and classes ({error!r}): run 'resnet ingest' again"
        ) from error
    if len(mean) != CHANNELS or len(deviation) != CHANNELS or min(deviation) <= 0:
        raise PipelineError(
            f"{profile} has mean {mean} and deviation {deviation}, want {CHANNELS} numbers each "
            "and deviations above 0: are the images all alike? Run 'resnet ingest' again"
        )
    return DataSpec(mean, deviation, classes)


def _write_history(rows: Sequence[Row], path: Path) -> None:
    """One line an epoch; numbers have the digits that float32 has, missing ones are empty."""
    with files.replacing(path) as draft, draft.open("w", newline="") as stream:
        columns = dict.fromkeys([*COLUMNS, *rows[0]])  # the common ones, and then diagnostics
        writer = csv.DictWriter(stream, list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.7g}" for name, value in row.items()} for row in rows)


def _versions(chosen: str) -> dict[str, str]:
    packages = ("keras", "numpy", chosen)
    return {"python": platform.python_version()} | {
        package: importlib.metadata.version(package) for package in packages
    }
