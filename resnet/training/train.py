"""The train stage: arrays and profile in, the published model, its history and its record out."""

import csv
import importlib.metadata
import math
import os
import platform
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet import backend, files
from resnet.data import arrays
from resnet.errors import PipelineError
from resnet.params import Net, Paths, Runtime, Train
from resnet.progress import Progress
from resnet.training.checkpoint import Checkpoints
from resnet.training.listener import Listener, Silence
from resnet.training.loop import COLUMNS, Outcome, Row, Trainer, plan
from resnet.training.schedule import rates

if TYPE_CHECKING:
    import keras


def train(
    net: Net,
    train: Train,
    paths: Paths,
    runtime: Runtime,
    checkpoints: Path,
    listener: Listener | None,
) -> None:
    """Train `net` on the arrays, and write paths.model, paths.history and paths.training.

    `checkpoints` is the folder for this training's state: one of its own for each combination of
    data, parameters and code. It is empty at first and removed at the end; a training that was
    interrupted goes on from it.

    Raises PipelineError where there is no such device, the data do not fit or the loss is not
    finite, and StoppedError where SIGTERM or SIGINT came, or the parent process has ended;
    `listener` is then told that it failed, and nothing is written but a checkpoint.
    """
    device = backend.select(train.backend, train.device)
    listener = listener or Silence()
    kept = Checkpoints(checkpoints, runtime.checkpoint_seconds)
    with kept.held(runtime.lock_seconds):
        try:
            with _told_to_end() as told:
                model, outcome = _run(net, train, paths, runtime, kept, listener, told)
            name = _write(model, outcome, device, paths)
        except BaseException as error:
            listener.failed(str(error) or type(error).__name__)
            raise
        listener.finished(name)
        kept.clear()


def _run(
    net: Net,
    train: Train,
    paths: Paths,
    runtime: Runtime,
    checkpoints: Checkpoints,
    listener: Listener,
    told: Callable[[], bool],
) -> "tuple[keras.Model, Outcome]":
    """Train, and give the best epoch's model in its published form."""
    from resnet.nets.build import published
    from resnet.training import engine

    mean, deviation = _standard(paths.profile)
    images = arrays.load(paths.arrays, "train")
    validation = arrays.load(paths.arrays, "validation")
    steps = plan(train, len(images.labels_n), len(validation.labels_n))
    table = rates(train.schedule, steps.steps)
    chosen = engine.create(net, train, mean, deviation, table, images.images_nhwc, images.labels_n)
    with Progress("train", steps.steps, "steps", runtime.progress_seconds) as progress:
        outcome = Trainer(
            chosen, steps, train, table, validation, listener, progress, checkpoints, told
        ).fit()
    return published(net, mean, deviation, outcome.weights), outcome


def _write(model: "keras.Model", outcome: Outcome, device: backend.Device, paths: Paths) -> str:
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
            "epochs": len(outcome.rows),
            "steps": int(outcome.rows[-1]["step"]),
            "best_epoch": outcome.best_epoch,
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
        writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.7g}" for name, value in row.items()} for row in rows)


def _versions(chosen: str) -> dict[str, str]:
    packages = ("keras", "numpy", chosen)
    return {"python": platform.python_version()} | {
        package: importlib.metadata.version(package) for package in packages
    }


@contextmanager
def _told_to_end() -> Iterator[Callable[[], bool]]:
    """A function that says whether training shall end: SIGTERM, SIGINT, or the parent is gone.

    Only a main thread can take signals; elsewhere they are not seen.
    """
    told = threading.Event()
    parent = os.getppid()
    taken = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            taken[number] = signal.signal(number, lambda *_: told.set())
    try:
        yield lambda: told.is_set() or os.getppid() != parent
    finally:
        for number, before in taken.items():
            signal.signal(number, before)
