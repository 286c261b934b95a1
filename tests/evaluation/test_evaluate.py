"""The whole evaluation of a small model, from the files of a checkout to its reports."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from resnet import params
from resnet.checkout import dvc_yaml
from resnet.data import arrays
from resnet.data.arrays import Split
from resnet.errors import PipelineError
from resnet.evaluation import cost
from resnet.evaluation.evaluate import evaluate, predict, scoring
from resnet.evaluation.metrics import HEADLINES
from resnet.evaluation.records import Evaluation, Predictions
from resnet.model import backend, model_file, precision, temperature
from resnet.model.forward import compiled, in_batches
from resnet.system import files
from tests.support import REPOSITORY

CLASSES = [f"class {k}" for k in range(10)]
SETTINGS = params.Evaluate(batch=7, bins=5, mistakes=4, annotations=())
CPU = backend.Device("tensorflow", "cpu", "a processor")
PICTURES = ("confusion", "curves", "mistakes", "reliability")


def network() -> Any:
    """uint8 images → probabilities, with a strided convolution, of stock layers."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((32, 32, 3), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10),
            layers.Softmax(),
        ]
    )


@pytest.fixture(autouse=True)
def no_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU without instructions for it, unless a test says otherwise."""
    monkeypatch.setattr(backend, "cpu_flags", lambda: {"avx2"})


@pytest.fixture
def paths(tmp_path: Path) -> params.Paths:
    """A checkout after training: 20 test samples, a model, a profile, a history."""
    names = (name for name in params.Paths.model_fields if name != "archive")
    paths = params.Paths(archive=None, **{name: tmp_path / name for name in names})
    paths = paths.model_copy(update={"model": tmp_path / "model.keras"})
    paths.arrays.mkdir()
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (20, 32, 32, 3), np.uint8)
    np.save(paths.arrays / "test_images.npy", images)
    np.save(paths.arrays / "test_labels.npy", np.arange(20, dtype=np.uint8) % 10)
    files.write_json(paths.profile, {"dataset": "generated", "classes": CLASSES})
    model_file.save(network(), paths.model)
    files.write_text(
        paths.history,
        "epoch,step,learning_rate,train_loss,train_accuracy,validation_loss,validation_accuracy\n"
        "1,10,0.1,2.0,0.2,,\n2,20,0.05,1.5,0.4,,\n",
    )
    return paths


def test_evaluation_writes_every_report(paths: params.Paths) -> None:
    evaluate(SETTINGS, paths, CPU)

    values = json.loads(paths.metrics.read_text())
    predictions = Predictions.read(paths.predictions)
    labels = np.load(paths.arrays / "test_labels.npy")
    assert (predictions.labels_n == labels).all()
    assert values["accuracy"] == (predictions.predicted_n == labels).mean()
    assert values["accuracy_low"] <= values["accuracy"] <= values["accuracy_high"]
    assert values["images"] == 20
    assert values["size_bytes"] == paths.model.stat().st_size
    assert values["latency_ms"] > 0
    assert values["throughput"] > 0
    assert values["model_hash"] == model_file.model_hash(model_file.load(paths.model))
    assert values["test_hash"] == _hash_of_test_split(paths)
    assert Evaluation.read(paths.metrics).metrics.correct == values["correct"]
    assert values["temperature"] == values["calibration_error_scaled"] is None
    assert values["accuracy_near_duplicates"] is None
    assert pd.read_csv(paths.subsets)["subset"].tolist() == ["all"]
    scores = json.loads(paths.scores.read_text())
    assert list(scores) == list(HEADLINES)
    assert scores == {name: values[name] for name in HEADLINES}

    assert len(pd.read_csv(paths.confusion)) == 20
    assert list(pd.read_csv(paths.confusion)) == ["actual", "predicted"]
    assert pd.read_csv(paths.per_class)["class"].tolist() == CLASSES
    assert pd.read_csv(paths.reliability)["images"].sum() == 20
    assert sorted(path.stem for path in paths.pictures.iterdir()) == sorted(PICTURES)
    for path in paths.pictures.iterdir():
        with Image.open(path) as picture:
            assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 10, f"{path} is empty"


def test_what_changes_tables_and_pictures_alone_leaves_the_predictions_byte_for_byte(
    paths: params.Paths,
) -> None:
    """So that the stage `export`, which depends on them, does not run again."""
    evaluate(SETTINGS, paths, CPU)
    before = paths.predictions.read_bytes()
    evaluate(SETTINGS.model_copy(update={"bins": 3, "mistakes": 2}), paths, CPU)
    assert paths.predictions.read_bytes() == before
    assert dvc_yaml.parameters("export", REPOSITORY) == ["export"]


def _hash_of_test_split(paths: params.Paths) -> str:
    arrays = (np.load(paths.arrays / f"test_{part}.npy") for part in ("images", "labels"))
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def test_the_scores_by_annotations_are_among_the_metrics(paths: params.Paths) -> None:
    paths.annotations.mkdir()
    (paths.annotations / "near-duplicates").write_text("TestID\n3\n4\n")
    (paths.annotations / "label-errors").write_text(
        json.dumps([{"id": 5, "mturk": {"given": 1, "guessed": 4}}])
    )
    with (paths.annotations / "human-labels").open("wb") as stream:
        np.save(stream, np.ones((20, 10), int))
    settings = SETTINGS.model_copy(
        update={"annotations": ("near-duplicates", "label-errors", "human-labels")}
    )
    evaluate(settings, paths, CPU)
    values, subsets = json.loads(paths.metrics.read_text()), pd.read_csv(paths.subsets)
    assert subsets["images"].tolist() == [20, 18, 2, 19, 17]
    accuracies = dict(zip(subsets["subset"], subsets["accuracy"], strict=True))
    assert values["accuracy_without_near_duplicates"] == accuracies["without near-duplicates"]
    assert values["accuracy_near_duplicates"] == accuracies["near-duplicates"]
    assert values["accuracy_without_label_errors"] == accuracies["without label errors"]
    assert values["accuracy_without_both"] == accuracies["without both"]
    assert values["human_entropy"] == pytest.approx(np.log(10))
    assert values["human_cross_entropy"] >= values["human_entropy"] - 1e-6


def test_annotations_that_are_listed_must_be_there(paths: params.Paths) -> None:
    settings = SETTINGS.model_copy(update={"annotations": ("label-errors",)})
    with pytest.raises(PipelineError, match="label-errors is not there: run 'resnet annotate'"):
        evaluate(settings, paths, CPU)
    assert not paths.metrics.exists()


def test_the_temperature_is_that_of_the_model_and_needs_no_validation_images(
    paths: params.Paths,
) -> None:
    assert not list(paths.arrays.glob("validation*"))
    *layers, softmax = network().layers
    divided = keras.layers.Rescaling(1 / 0.4774, name=temperature.LAYER)
    images = keras.layers.Input((32, 32, 3), dtype="uint8")
    model_file.save(keras.Sequential([images, *layers, divided, softmax]), paths.model)
    evaluate(SETTINGS, paths, CPU)
    assert json.loads(paths.metrics.read_text())["temperature"] == 0.4774


def not_asked(*arguments: Any) -> Any:
    raise AssertionError("it was measured, or scored")


@pytest.fixture
def validation(tmp_path: Path) -> Callable[[int], Path]:
    """Writes so many validation samples, which `network` classifies correctly; their folder."""

    def write(images: int) -> Path:
        random = np.random.default_rng(1)
        images_nhwc = random.integers(0, 256, (images, 32, 32, 3), np.uint8)
        predicted_nk: Any = network()(images_nhwc, training=False) if images else []
        labels_n = np.array([np.argmax(row) for row in predicted_nk], np.uint8)
        np.save(tmp_path / "validation_images.npy", images_nhwc)
        np.save(tmp_path / "validation_labels.npy", labels_n)
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("measure", "images", "reason"),
    [
        (not_asked, 30, "this CPU has no instructions for bfloat16"),
        (lambda backend: (1.0, 0.9), 30, "convolutions in bfloat16 take 0.90 of the time"),
        (lambda backend: (1.0, 0.4), 0, "there are no validation samples"),
    ],
)
def test_where_bfloat16_cannot_be_faster_or_compared_nothing_is_scored_in_it(
    validation: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
    measure: Any,
    images: int,
    reason: str,
) -> None:
    flags = {"avx2"} if measure is not_asked else {"avx2", "amx_bf16"}
    monkeypatch.setattr(backend, "cpu_flags", lambda: flags)
    monkeypatch.setattr(precision, "measure", measure)
    folder = validation(images)
    found = scoring(
        *(CPU, network(), not_asked, 500),
        lambda: arrays.read(folder, "validation", "image", (32, 32, 3)),
    )
    assert (found.precision, found.images, found.agreement) == ("float32", 0, None)
    assert found.reason.startswith(reason)


def test_where_bfloat16_is_faster_it_is_compared_and_the_scores_stay_those_of_float32(
    paths: params.Paths,
    validation: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for path in validation(30).glob("validation*.npy"):
        path.rename(paths.arrays / path.name)
    monkeypatch.setattr(backend, "cpu_flags", lambda: {"avx512_bf16"})
    monkeypatch.setattr(precision, "measure", lambda backend: (1.0, 0.4))
    evaluate(SETTINGS, paths, CPU)
    found = Evaluation.read(paths.metrics).scoring
    assert found is not None
    assert (found.precision, found.images, found.float32_accuracy) == ("bfloat16", 30, 1)
    assert found.agreement == found.bfloat16_accuracy == 1
    assert found.cpu == backend.cpu_model()
    assert "scoring precision: bfloat16, in bfloat16 100.00% of 30" in capsys.readouterr().out
    images = np.load(paths.arrays / "test_images.npy")
    expected = in_batches(compiled(model_file.load(paths.model)), images, SETTINGS.batch)
    assert np.array_equal(Predictions.read(paths.predictions).probabilities_nk, expected)


@pytest.mark.parametrize(
    ("missing", "stage"), [("profile", "ingest"), ("model", "train"), ("history", "train")]
)
def test_a_missing_input_is_named_with_the_stage_that_makes_it(
    paths: params.Paths, missing: str, stage: str
) -> None:
    getattr(paths, missing).unlink()
    with pytest.raises(PipelineError, match=rf"{missing}.*resnet {stage}"):
        evaluate(SETTINGS, paths, CPU)
    assert not paths.metrics.exists()


def test_a_model_for_other_classes_is_refused(paths: params.Paths) -> None:
    files.write_json(paths.profile, {"dataset": "generated", "classes": CLASSES[:9]})
    with pytest.raises(PipelineError, match="made for other classes"):
        evaluate(SETTINGS, paths, CPU)


@pytest.mark.parametrize("value", [2.0, np.nan])
def test_a_model_whose_outputs_are_no_probabilities_is_refused(value: float) -> None:
    test = Split(np.zeros((3, 32, 32, 3), np.uint8), np.zeros(3, np.uint8))
    with pytest.raises(PipelineError, match="do not sum to 1"):
        predict(lambda images: np.full((len(images), 10), value), test, 2, CLASSES)


def test_the_compiled_pass_is_the_model_whatever_the_batch() -> None:
    model = network()
    images = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), np.uint8)
    forward = compiled(model)
    expected = keras.ops.convert_to_numpy(model(images, training=False))
    for batch in (1, 2, 5, 100):
        assert in_batches(forward, images, batch) == pytest.approx(expected, abs=1e-6)


def test_the_compiled_pass_is_the_model_on_jax_too() -> None:
    code = """
from resnet.model import backend
backend.select("jax", "cpu")
import keras, numpy as np
from resnet.model.forward import compiled
layers = keras.layers
model = keras.Sequential(
    [
        layers.Input((32, 32, 3), dtype="uint8"),
        layers.Rescaling(1 / 255),
        layers.BatchNormalization(),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ]
)
images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
expected = keras.ops.convert_to_numpy(model(images, training=False))
print(keras.backend.backend(), abs(compiled(model)(images) - expected).max() < 1e-6)
model = keras.Sequential(
    [
        layers.Input((32, 32, 3), dtype="uint8"),
        layers.Rescaling(1 / 255),
        layers.Conv2D(4, 3),
        layers.Flatten(),
        layers.Dense(10),
        layers.Softmax(),
    ]
)
expected = keras.ops.convert_to_numpy(model(images, training=False))
half = compiled(model, "bfloat16")(images)
print(half.dtype, 0 < abs(half - expected).max() < 1e-2)
"""
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.split() == ["jax", "True", "float32", "True"]


def test_parameters_are_the_trainable_ones() -> None:
    assert cost.parameters(network()) == 3 * 3 * 3 * 4 + 2 * 4 + (4 * 10 + 10)


def test_a_multiplication_and_its_addition_are_two_operations() -> None:
    assert cost.flops(network()) == 2 * (16 * 16 * 4 * 3 * 3 * 3) + 2 * 4 * 10


def test_operations_in_a_nested_model_count() -> None:
    outer = keras.Sequential([keras.layers.Input((32, 32, 3), dtype="uint8"), network()])
    assert cost.flops(outer) == cost.flops(network())


def test_operations_of_a_model_of_two_views_count_twice() -> None:
    images, inner = keras.Input((32, 32, 3), dtype="uint8"), network()
    views = [inner(images), inner(keras.ops.flip(images, axis=2))]
    assert cost.flops(keras.Model(images, keras.layers.Average()(views))) == 2 * cost.flops(inner)
