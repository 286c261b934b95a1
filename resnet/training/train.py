"""The train stage: arrays and profile in; the published model, its history and its record out."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from resnet.checkout import checkpoint_folders, provenance
from resnet.errors import StoppedError
from resnet.model import backend, precision
from resnet.params import Net, Params, Paths, Runtime, Train
from resnet.system import disk_errors
from resnet.system.progress import Progress
from resnet.system.termination import Stop
from resnet.training import outputs
from resnet.training.callback import Callback, NullCallback
from resnet.training.checkpoint import Checkpoints
from resnet.training.engines import multi_process
from resnet.training.engines.interface import Bytes, Engine, Floats, TrainingJob
from resnet.training.inputs import TrainingInputs
from resnet.training.loop import Plan, Trainer, diverged, plan
from resnet.training.outputs import TrainedModel
from resnet.training.schedule import rates

CHECKED_IMAGES = 10  # training images that the model predicts before it is published

if TYPE_CHECKING:
    import keras

    from resnet.training.diagnostics import Diagnostics


@dataclass(frozen=True)
class TrainingSettings:
    """What is trained, what is read and written, and where checkpoints are kept."""

    net: Net
    recipe: Train
    paths: Paths
    runtime: Runtime
    checkpoints: Path  # a folder, with a folder in it for each combination of inputs and `key`
    key: str  # identifies the parameters and the code


def run(params: Params, root: Path, callback: Callback | None, stop: Stop) -> None:
    """The stage in the checkout at `root`: `train` with its parameters, key and checkpoints."""
    settings = TrainingSettings(
        params.net,
        params.train,
        params.paths,
        params.runtime,
        checkpoint_folders.home(root),
        provenance.training_key(params, root),
    )
    train(settings, callback or NullCallback(), stop)


def train(settings: TrainingSettings, callback: Callback, stop: Stop) -> None:
    """Train a network on the arrays; write paths.model, paths.history and paths.training.

    An interrupted training is resumed from its folder of checkpoints, which is removed at the end.

    Raises PipelineError where the device is not available, the data do not fit or training
    diverges, and StoppedError where `stop`, which the caller has entered, requests it or the reader
    of the output has gone. `callback` is called then, and nothing is written but a checkpoint.
    """
    recipe, runtime, paths = settings.recipe, settings.runtime, settings.paths
    inputs = TrainingInputs.read(paths)
    device = backend.select(
        recipe.backend, recipe.device, deterministic=recipe.deterministic, distributed=True
    )
    fingerprint = inputs.hash(settings.key)
    if device.processes > 1:
        multi_process.require_equal(fingerprint)
    settings = _with_precision(settings, device, fingerprint)
    if device.process:
        stop.defer()  # process 0 decides when all of them end
        multi_process.run_follower(_create_engine(settings, inputs)[0])
        return
    folder = _folder(settings, fingerprint, settings.recipe.precision)
    checkpoints = Checkpoints(folder, runtime.checkpoint_seconds)
    with checkpoints.lock(runtime.lock_seconds), _report_errors(callback):
        trained = _run(settings, inputs, checkpoints, callback, stop)
        with disk_errors.explain_write_errors(paths.model):
            model_hash = outputs.write(trained, device, settings.recipe.precision, paths)
        callback.finished(model_hash)
        checkpoints.clear()


def _with_precision(
    settings: TrainingSettings, device: backend.Device, fingerprint: str
) -> TrainingSettings:
    """The settings with float32 or bfloat16 in place of `auto`.

    An interrupted training goes on in the precision of its checkpoint.
    """
    if settings.recipe.precision != "auto":
        return settings
    folders = {name: _folder(settings, fingerprint, name) for name in precision.PRECISIONS}
    begun = [name for name, folder in folders.items() if Checkpoints(folder, 0).has_begun()]
    choice = precision.choose(device, begun)
    print(f"precision: {choice.precision}, {choice.reason}", flush=True)
    recipe = settings.recipe.model_copy(update={"precision": choice.precision})
    return replace(settings, recipe=recipe)


def _folder(settings: TrainingSettings, fingerprint: str, name: str) -> Path:
    """The folder for the checkpoints of a training in the precision `name`."""
    return settings.checkpoints / f"{fingerprint}-{name}"


@contextmanager
def _report_errors(callback: Callback) -> Iterator[None]:
    """Report to `callback` what the block raises."""
    try:
        yield
    except StoppedError as error:
        callback.stopped(str(error))
        raise
    except BaseException as error:
        callback.failed(str(error) or type(error).__name__)
        raise


def _run(
    settings: TrainingSettings,
    inputs: TrainingInputs,
    checkpoints: Checkpoints,
    callback: Callback,
    stop: Stop,
) -> TrainedModel:
    """Train, and give the best epoch's model in its published form, calibrated."""
    from resnet.nets.build import published
    from resnet.training.calibration import calibrate

    net, recipe = settings.net, settings.recipe
    clock = time.perf_counter()
    engine, steps, learning_rates = _create_engine(settings, inputs)
    setup_seconds = time.perf_counter() - clock
    diagnose = _create_diagnostics(net, inputs, recipe.batch) if recipe.diagnostics else None
    stop.defer()
    with (
        closing(engine),
        Progress("train", steps.steps, "steps", settings.runtime.progress_seconds) as progress,
    ):
        result = Trainer(
            engine=engine,
            plan=steps,
            recipe=recipe,
            key=settings.key,
            rates=learning_rates,
            form=inputs.data.form,
            validation=inputs.validation,
            callback=callback,
            progress=progress,
            checkpoints=checkpoints,
            stop_requested=lambda: stop.requested() or progress.reader_gone,
            diagnose=diagnose,
        ).fit()
    model = published(net, inputs.data, result.weights)
    _require_finite_outputs(model, inputs.images.images_nhwc[:CHECKED_IMAGES])
    model, temperature = calibrate(model, inputs.validation)
    return TrainedModel(model, temperature, result, setup_seconds)


def _require_finite_outputs(model: "keras.Model", images_nhwc: Bytes) -> None:
    """Raise PipelineError rather than publish a model that cannot predict."""
    outputs_nk = np.asarray(model(np.asarray(images_nhwc), training=False))
    wrong = np.flatnonzero(~np.isfinite(outputs_nk).all(axis=1))
    if len(wrong):
        raise diverged(
            f"the model's output is not finite for {len(wrong)} of {len(outputs_nk)} training "
            "images"
        )


def _create_engine(
    settings: TrainingSettings, inputs: TrainingInputs
) -> tuple[Engine, Plan, Floats]:
    """The engine before its first step, the steps to make and the learning rate of each."""
    from resnet.training.engines.create import create

    images, recipe = inputs.images, settings.recipe
    steps = plan(recipe, len(images.labels_n), len(inputs.validation.labels_n))
    table = rates(recipe.schedule, steps.steps)
    job = TrainingJob(settings.net, inputs.data, recipe, table, images.images_nhwc, images.labels_n)
    return create(job), steps, table


def _create_diagnostics(net: Net, inputs: TrainingInputs, count: int) -> "Diagnostics":
    """Diagnostics on `count` training images, spread evenly over the split."""
    from resnet.training.diagnostics import Diagnostics

    images, labels = inputs.images.images_nhwc, inputs.images.labels_n
    indices = np.linspace(0, len(labels) - 1, count).astype(int)
    return Diagnostics(net, inputs.data, images[indices], labels[indices])
