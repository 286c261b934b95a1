"""Score the published model on the test split: model.keras and arrays in, reports out."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from resnet import params
from resnet.data import arrays
from resnet.data.profile import Profile
from resnet.data.sets import annotations
from resnet.errors import PipelineError
from resnet.evaluation import cost, robustness, scoring_precision
from resnet.evaluation.metrics import Metrics, headlines
from resnet.evaluation.records import Evaluation, Predictions
from resnet.evaluation.score import Scores, score
from resnet.evaluation.scoring_precision import ScoringPrecision
from resnet.model import backend, model_file, precision, temperature
from resnet.model.forward import Forward, compiled, in_batches
from resnet.system import disk_errors, files


def evaluate(settings: params.Evaluate, paths: params.Paths, device: backend.Device) -> None:
    """Score `paths.model` on the test split, and write all reports that `paths` names.

    The scores are float32's; whether `predict` may score in bfloat16 is found out beside them, on
    the validation samples. `device` must be selected.

    Raises PipelineError where the model, the arrays, the profile or the history are missing or do
    not fit together, and where the reports cannot be written. The metrics are written last: where
    they exist, everything else does.
    """
    for path, stage in (
        (paths.profile, "ingest"),
        (paths.model, "train"),
        (paths.history, "train"),
    ):
        if not path.exists():
            raise PipelineError(f"{path} is not there: run 'resnet {stage}' first")
    profile = Profile.read(paths.profile)
    classes = profile.classes
    test = arrays.load(paths, "test")
    model = model_file.load(paths.model)
    forward = compiled(model)

    test_annotations = annotations.load(
        paths.annotations, settings.annotations, len(test.labels_n), len(classes)
    )
    predictions = predict(forward, test, settings.batch, classes)
    scores = score(predictions, classes, settings.bins)
    subsets = robustness.subsets(predictions, test_annotations)
    metrics = replace(
        _metrics(scores, model, forward, test.images_nhwc, paths.model),
        temperature=temperature.of(model),
        **robustness.scores(predictions, subsets, test_annotations),
    )
    evaluation = Evaluation(
        metrics=metrics,
        model_hash=model_file.model_hash(model),
        test_hash=test_hash(test),
        scoring=scoring(
            device, model, forward, settings.batch, lambda: arrays.load(paths, "validation")
        ),
    )
    # A flow reads it: what takes a core's time may begin beside the rest.
    print(f"evaluate: 100 % measured, accuracy {metrics.accuracy:.2%}", flush=True)
    with disk_errors.explain_write_errors(paths.metrics):
        _write_tables(predictions, scores, classes, paths)
        _write_csv(subsets, paths.subsets)
        _write_pictures(predictions, scores, test.images_nhwc, profile, settings.mistakes, paths)
        files.write_json(paths.scores, headlines(metrics.by_name()))
        evaluation.write(paths.metrics)


def predict(
    forward: Forward, test: arrays.Split, batch: int, classes: Sequence[str]
) -> Predictions:
    """The model's probabilities for `test`. Raises PipelineError where they cannot be that."""
    probabilities_nk = in_batches(forward, test.images_nhwc, batch)
    if probabilities_nk.shape != (len(test.labels_n), len(classes)):
        raise PipelineError(
            f"the model's output has shape {probabilities_nk.shape}, wanted "
            f"{(len(test.labels_n), len(classes))}: it was made for other classes; train it again"
        )
    if not np.allclose(probabilities_nk.sum(axis=1), 1, atol=1e-3):
        raise PipelineError(
            "the model's outputs do not sum to 1: wanted probabilities, found logits or NaN; "
            "train it again"
        )
    return Predictions(np.asarray(test.labels_n), probabilities_nk)


def scoring(
    device: backend.Device,
    model: Any,
    float32: Forward,
    batch: int,
    load: Callable[[], arrays.Split],
) -> ScoringPrecision:
    """The precision in which `predict` may score; `float32` is the model's forward pass in it.

    The validation split, which `load` reads, is scored in both where bfloat16 is faster here.
    """
    choice = precision.choose(device)
    if choice.precision == "float32":
        return scoring_precision.uncompared(device, choice.reason)
    validation = load()
    if not len(validation.labels_n):
        return scoring_precision.uncompared(device, "there are no validation samples to compare on")
    forwards = float32, compiled(model, "bfloat16")
    probabilities = (in_batches(forward, validation.images_nhwc, batch) for forward in forwards)
    found = scoring_precision.compared(device, np.asarray(validation.labels_n), *probabilities)
    print(f"scoring precision: {found.precision}, {found.reason}", flush=True)
    return found


def test_hash(test: arrays.Split) -> str:
    """SHA-256, hex, of the bytes of the test samples and then of the labels."""
    sha = hashlib.sha256(np.ascontiguousarray(test.images_nhwc).data)
    sha.update(np.ascontiguousarray(test.labels_n).data)
    return sha.hexdigest()


def _metrics(
    scores: Scores, model: Any, forward: Forward, images_nhwc: np.ndarray, path: Path
) -> Metrics:
    return Metrics(
        accuracy=scores.accuracy,
        accuracy_low=scores.accuracy_low,
        accuracy_high=scores.accuracy_high,
        loss=scores.loss,
        top2=scores.top2,
        calibration_error=scores.calibration_error,
        parameters=cost.parameters(model),
        flops=cost.flops(model),
        size_bytes=path.stat().st_size,
        latency_ms=cost.latency_ms(forward, images_nhwc),
        throughput=cost.throughput(forward, images_nhwc),
        correct=scores.correct,
        images=scores.images,
    )


def _write_tables(
    predictions: Predictions, scores: Scores, classes: Sequence[str], paths: params.Paths
) -> None:
    predictions.write(paths.predictions)
    # DVC's `confusion` template counts the rows itself.
    names = np.asarray(classes)
    pairs = {"actual": names[predictions.labels_n], "predicted": names[predictions.predicted_n]}
    _write_csv(pd.DataFrame(pairs), paths.confusion)
    _write_csv(scores.per_class, paths.per_class)
    _write_csv(scores.reliability, paths.reliability)


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    with files.replacing(path) as draft:
        table.to_csv(draft, index=False, lineterminator="\n")


def _write_pictures(
    predictions: Predictions,
    scores: Scores,
    images_nhwc: np.ndarray,
    profile: Profile,
    mistakes: int,
    paths: params.Paths,
) -> None:
    from resnet.evaluation import pictures

    figures = {
        "curves": pictures.curves(pd.read_csv(paths.history)),
        "confusion": pictures.confusion(scores, profile.classes),
        "reliability": pictures.reliability(scores),
        "mistakes": pictures.mistakes(images_nhwc, predictions, profile, mistakes),
    }
    with files.replacing(paths.pictures) as draft:
        draft.mkdir()
        for name, figure in figures.items():
            figure.savefig(
                draft / f"{name}.png", dpi=pictures.DOTS_PER_INCH, pil_kwargs=pictures.PNG
            )
