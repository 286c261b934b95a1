"""A build's own engine or model: a line "go" in, the speed of one round of work out.

Run with the build's folder as the working directory and on PYTHONPATH: all but this file comes from
that build. It knows two: the one that this file is in, and commit f50bffb.

    python -P build_peer.py '{"work": "train", "preset": "paper", "overrides": [], "batches": 8}'
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

Round = Callable[[], float]
VALIDATION_BATCH = 500  # images per call where both builds score the validation images


def main() -> None:
    spec = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    one_round = WORKS[spec.pop("work")](**spec)
    for _ in sys.stdin:
        print(one_round(), file=answers, flush=True)


def train(preset: str | None, overrides: Sequence[str], batches: int, flops: bool = False) -> Round:
    """Training steps, augmentation included, in images per second or in GFLOP/s."""
    parameters = _selected(preset, overrides)
    from benchmarks import training

    one_round = training.ours(parameters, batches)
    if not flops:
        return one_round
    per_image = training.flops_per_image(parameters.net) / 1e9
    return lambda: per_image * float(one_round())


def epoch(overrides: Sequence[str], batches: int) -> Round:
    """`quick`'s loop in epochs per second, from a few steps and a batch of validation images.

    An epoch has as many of each as the training and validation images make.
    """
    parameters = _selected(None, overrides)
    from benchmarks import subjects

    batch, validation = parameters.train.batch, parameters.data.validation
    images, labels = subjects.images(max(batches * batch, VALIDATION_BATCH))
    engine, draw = _engine(parameters, images, labels)
    steps = (50_000 - validation) // batch

    def one_round() -> float:
        started = time.perf_counter()
        engine.train(draw(range(batches)))
        trained = time.perf_counter()
        engine.score(images[:VALIDATION_BATCH], labels[:VALIDATION_BATCH])
        scored = time.perf_counter()
        seconds = (trained - started) * steps / batches
        speed: float = 1 / (seconds + (scored - trained) * validation / VALIDATION_BATCH)
        return speed

    return one_round


def score() -> Round:
    """256 images per call of the published ResNet-20, in images per second."""
    _selected("paper", [])
    from benchmarks.scoring import ours

    return ours()


def one_image(calls: int) -> Round:
    """One image per call of `quick`'s published model, in calls per second."""
    return _calls(_call(_selected(None, [])), calls)


def one_image_by_onnx(calls: int) -> Round:
    """The same of the model's ONNX form."""
    parameters = _selected(None, [])
    from benchmarks.scoring import model
    from resnet.export import onnx_forward, onnx_model

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        onnx_model.write(model(parameters.net), path)
        call = onnx_forward.load(path)
    return _calls(call, calls)


def matrix_product() -> Round:
    """A product of two float32 matrices of the best size, in GFLOP/s."""
    _selected(None, [])
    from benchmarks.training import matrix_peak

    return lambda: matrix_peak() / 1e9


def _calls(call: Callable[[Any], Any], calls: int) -> Round:
    """That many of one image, in calls per second."""
    from benchmarks import subjects

    image_1hwc, _ = subjects.images(1)

    def one_round() -> float:
        started = time.perf_counter()
        for _ in range(calls):
            call(image_1hwc)
        return calls / (time.perf_counter() - started)

    return one_round


def _is_f50bffb() -> bool:
    """Whether the code is that of commit f50bffb, whose rooms have other names."""
    # Not by importing: what a build lacks is found in the installed one.
    return not Path("resnet", "forms").exists()


def _selected(preset: str | None, overrides: Sequence[str]) -> Any:
    """The parameters, after their backend was selected as the stage does it."""
    from resnet import params

    room = "resnet" if _is_f50bffb() else "resnet.model"
    backend = import_module(f"{room}.backend")
    root = Path.cwd()
    parameters = params.check(params.merge(params.read(root), root, preset, list(overrides)))
    recipe = parameters.train
    backend.select(recipe.backend, "cpu", deterministic=recipe.deterministic)
    return parameters


def _engine(parameters: Any, images: Any, labels: Any) -> tuple[Any, Callable[[range], Any]]:
    """The engine before its first step, and how batches of the first epoch are drawn."""
    recipe = parameters.train
    if _is_f50bffb():
        import numpy as np

        create, draw = _of("resnet.training.engine", "create"), _of("resnet.data.batches", "draw")
        rates = np.full(10_000, 0.01, np.float32)
        engine = create(parameters.net, recipe, *_pixels(), rates, images, labels)
    else:
        draw = partial(_of("resnet.forms.augmentation", "draw"), "image")
        engine = _of("benchmarks.training", "engine")(parameters, images, labels)
    return engine, lambda batches: draw(0, 1, batches, len(labels), recipe.batch, recipe.augment)


def _call(parameters: Any) -> Callable[[Any], Any]:
    """The compiled call of the published model with its initial weights."""
    net = parameters.net
    if not _is_f50bffb():
        return _of("benchmarks.scoring", "compiled")(net)  # type: ignore[no-any-return]
    build, published = (_of("resnet.nets.build", name) for name in ("build", "published"))
    weights = build(net, *_pixels()).get_weights()
    model = published(net, *_pixels(), weights)
    return _of("resnet.forward", "compiled")(model)  # type: ignore[no-any-return]


def _pixels() -> tuple[list[float], list[float]]:
    """Mean and deviation of the images, for f50bffb."""
    return _of("benchmarks.subjects", "MEAN"), _of("benchmarks.subjects", "DEVIATION")


def _of(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


WORKS: dict[str, Callable[..., Round]] = {
    work.__name__: work
    for work in (train, epoch, score, one_image, one_image_by_onnx, matrix_product)
}

if __name__ == "__main__":
    main()
