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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from resnet import backend, files
from resnet.data import arrays, disk
from resnet.errors import PipelineError, StoppedError
from resnet.params import Net, Paths, Runtime, Train
from resnet.progress import Progress
from resnet.training import leader
from resnet.training.checkpoint import Checkpoints
from resnet.training.engine import Bytes, Engine, Floats
from resnet.training.listener import Listener, Silence
from resnet.training.loop import COLUMNS, Outcome, Plan, Row, Trainer, diverged, plan
from resnet.training.schedule import rates
from resnet.training.stop import Stop

PROBED = 10  # training images that a model is asked about before it is published

if TYPE_CHECKING:
    import keras

    from resnet.training.diagnostics import Diagnostics


@dataclass(frozen=True)
class Inputs:
    """What is trained on, in memory: what becomes of the files later does not matter."""

    images: arrays.Split
    validation: arrays.Split
    mean: Sequence[float]  # of the training images, three floats in units of 0..255
    deviation: Sequence[float]

    @classmethod
    def read(cls, paths: Paths) -> Self:
        """Raises PipelineError where something is missing or damaged."""
        mean, deviation = _standard(paths.profile)
        images, validation = (arrays.load(paths.arrays, name) for name in ("train", "validation"))
        return cls(images, validation, mean, deviation)

    def hash(self, key: str) -> str:
        """SHA-256, hex, of all of it and of `key`."""
        state = hashlib.sha256(json.dumps([key, self.mean, self.deviation]).encode())
        for split in (self.images, self.validation):
            for array in (split.images_nhwc, split.labels_n):
                state.update(f"{array.shape}".encode())
                state.update(np.ascontiguousarray(array).data)
        return state.hexdigest()


def train(
    net: Net,
    train: Train,
    paths: Paths,
    runtime: Runtime,
    checkpoints: Path,
    key: str,
    listener: Listener | None,
    stop: Stop,
) -> None:
    """Train `net` on the arrays, and write paths.model, paths.history and paths.training.

    Its state is kept below `checkpoints`, in a folder of its own for each combination of inputs
    and `key`, which stands for the parameters and the code. The folder is removed at the end; a
    training that was interrupted goes on from it.

    Raises PipelineError where there is no such device, the data do not fit or training diverges,
    and StoppedError where `stop`, which the caller has entered, says so or the process that reads
    the output has ended; `listener` is then told, and nothing is written but a checkpoint.
    """
    listener = listener or Silence()
    inputs = Inputs.read(paths)
    device = backend.select(
        train.backend, train.device, deterministic=train.deterministic, together=True
    )
    fingerprint = inputs.hash(key)
    if device.processes > 1:
        leader.agree(fingerprint)
    if device.process:
        stop.defer()  # process 0 decides when all of them end
        leader.follow(_engine(net, train, inputs)[0])
        return
    kept = Checkpoints(checkpoints / fingerprint, runtime.checkpoint_seconds)
    with kept.held(runtime.lock_seconds), _ending(listener):
        model, outcome, setup = _run(net, train, runtime, inputs, kept, listener, stop)
        with disk.writing(paths.model):
            name = _write(model, outcome, setup, device, paths)
        listener.finished(name)
        kept.clear()


@contextmanager
def _ending(listener: Listener) -> Iterator[None]:
    """Tell the listener where the block raises."""
    try:
        yield
    except StoppedError as error:
        listener.stopped(str(error))
        raise
    except BaseException as error:
        listener.failed(str(error) or type(error).__name__)
        raise


def _run(
    net: Net,
    train: Train,
    runtime: Runtime,
    inputs: Inputs,
    checkpoints: Checkpoints,
    listener: Listener,
    stop: Stop,
) -> "tuple[keras.Model, Outcome, float]":
    """Train, and give the best epoch's model in its published form.

    With it what the engine took until its first step, in seconds: on JAX it is compiled by then.
    """
    from resnet.nets.build import published

    clock = time.perf_counter()
    chosen, steps, table = _engine(net, train, inputs)
    setup = time.perf_counter() - clock
    diagnose = _diagnostics(net, train, inputs) if train.diagnostics else None
    stop.defer()
    with (
        closing(chosen),
        Progress("train", steps.steps, "steps", runtime.progress_seconds) as progress,
    ):
        outcome = Trainer(
            engine=chosen,
            plan=steps,
            train=train,
            rates=table,
            validation=inputs.validation,
            listener=listener,
            progress=progress,
            checkpoints=checkpoints,
            stopped=lambda: stop.asked() or progress.unread,
            diagnose=diagnose,
        ).fit()
    model = published(net, inputs.mean, inputs.deviation, outcome.weights)
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


def _engine(net: Net, train: Train, inputs: Inputs) -> tuple[Engine, Plan, Floats]:
    """The engine at its first step, the steps to make and the rate of each."""
    from resnet.training import engine

    images = inputs.images
    steps = plan(train, len(images.labels_n), len(inputs.validation.labels_n))
    table = rates(train.schedule, steps.steps)
    standard = inputs.mean, inputs.deviation
    made = engine.create(net, train, *standard, table, images.images_nhwc, images.labels_n)
    return made, steps, table


def _diagnostics(net: Net, train: Train, inputs: Inputs) -> "Diagnostics":
    """A probe that looks at as many training images as a step, from all over the split."""
    from resnet.training.diagnostics import Diagnostics

    images, labels = inputs.images.images_nhwc, inputs.images.labels_n
    chosen = np.linspace(0, len(labels) - 1, train.batch).astype(int)
    return Diagnostics(net, inputs.mean, inputs.deviation, images[chosen], labels[chosen])


def _write(
    model: "keras.Model", outcome: Outcome, setup: float, device: backend.Device, paths: Paths
) -> str:
    """Write the stage's outputs. Returns the model's hash."""
    from resnet import model_file  # it imports Keras, and so must wait for the backend

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


def _standard(profile: Path) -> tuple[Sequence[float], Sequence[float]]:
    """The mean and the deviation of the training images, three floats each in units of 0..255."""
    try:
        found: dict[str, Any] = files.read_json(profile)
        mean, deviation = found["mean"], found["deviation"]
    except FileNotFoundError:
        raise PipelineError(f"{profile} is not there: run 'resnet ingest' or 'dvc repro'") from None
    except (ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            f"{profile} holds no mean and deviation ({error!r}): run 'resnet ingest' again"
        ) from error
    if len(mean) != 3 or len(deviation) != 3 or min(deviation) <= 0:
        raise PipelineError(
            f"{profile} has mean {mean} and deviation {deviation}, want three numbers each and "
            "deviations above 0: are the images all alike? Run 'resnet ingest' again"
        )
    return mean, deviation


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
