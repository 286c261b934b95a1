"""The portable forms of a small trained model: real conversion, quantisation and ONNX Runtime."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest

from resnet import params
from resnet.evaluation.records import Predictions
from resnet.export import export as stage
from resnet.export.report import PortableForm, PortableReport
from resnet.model import model_file
from resnet.model.forward import compiled
from resnet.system import files
from tests.support import loaded, profiles

SETTINGS = params.Export(forms=("onnx", "int8"), agreement=0.995, accuracy=0.002)
IMAGES = 60  # of each split, an even number: half of them dark, half bright

# What whoever uses a form has: the file, ONNX Runtime, NumPy.
ALONE = """
import sys
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
images = numpy.load(sys.argv[2])
probabilities = [session.run(None, {"images": part})[0] for part in (images[:1], images[1:])]
numpy.save(sys.argv[3], numpy.concatenate(probabilities))
assert not {"tensorflow", "keras", "onnx", "resnet"} & sys.modules.keys()
"""


def images_of(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Dark and bright noise, uint8 (N, 32, 32, 3), and which is which."""
    random = np.random.default_rng(seed)
    labels_n = (np.arange(IMAGES) % 2).astype(np.uint8)
    means = np.where(labels_n, 180, 70)[:, None, None, None]
    noise = random.normal(means, 25, (IMAGES, 32, 32, 3))
    return noise.clip(0, 255).astype(np.uint8), labels_n


def trained(seed: int) -> keras.Model:
    """A small network of the layers that the published ones have, trained for a second."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    images = keras.Input((32, 32, 3), dtype="uint8", name="images")
    x = layers.Normalization(mean=[120.0] * 3, variance=[3600.0] * 3)(images)
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.Activation("silu")(layers.BatchNormalization()(x))
    y = layers.Conv2D(4, 3, padding="same")(x)
    x = layers.Add()([x, layers.BatchNormalization()(y)])
    x = layers.GlobalMaxPooling2D()(layers.MaxPooling2D()(x))
    model = keras.Model(images, layers.Softmax()(layers.Dense(2)(x)))
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    model.fit(*images_of(3), batch_size=20, epochs=8, verbose=0)
    return model


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout after evaluation."""
    root = tmp_path_factory.mktemp("evaluated")
    paths = paths_in(root)
    paths.arrays.mkdir()
    for seed, split in enumerate(("test", "validation")):
        images_nhwc, labels_n = images_of(seed)
        np.save(paths.arrays / f"{split}_images.npy", images_nhwc)
        np.save(paths.arrays / f"{split}_labels.npy", labels_n)
    shape, classes = images_nhwc.shape[1:], ["dark", "light"]
    files.write_json(paths.profile, dict(profiles.of_images(classes, shape).values))
    model_file.save(trained(0), paths.model)
    predict(paths)
    return root


def paths_in(root: Path) -> params.Paths:
    names = (name for name in params.Paths.model_fields if name not in ("archive", "model"))
    others = {name: root / name for name in names}
    return params.Paths(archive=None, model=root / "model.keras", **others)


def predict(paths: params.Paths) -> None:
    """The Keras model's predictions for the test samples, as `evaluate` writes them."""
    images_nhwc, labels_n = (np.load(paths.arrays / f"test_{n}.npy") for n in ("images", "labels"))
    forward = compiled(model_file.load(paths.model))
    Predictions(labels_n, forward(images_nhwc)).write(paths.predictions)


@pytest.fixture
def paths(evaluated: Path, tmp_path: Path) -> params.Paths:
    shutil.copytree(evaluated, tmp_path, dirs_exist_ok=True)
    return paths_in(tmp_path)


@pytest.fixture
def export(paths: params.Paths) -> Callable[..., dict[str, PortableForm]]:
    """Export; the forms of the report by their names."""

    def call(settings: params.Export = SETTINGS) -> dict[str, PortableForm]:
        stage.export(settings, paths)
        return {form.name: form for form in PortableReport.read(paths.portable_report).forms}

    return call


def written(paths: params.Paths) -> set[str]:
    return {path.name for path in paths.portable.iterdir()}


def test_both_forms_agree_with_the_model_and_need_onnx_runtime_alone(paths, export) -> None:
    forms = export()
    assert written(paths) == {"model.onnx", "model.int8.onnx"}
    predictions = Predictions.read(paths.predictions)
    assert predictions.correct_n.all()  # it has learned something
    for form in forms.values():
        file = paths.portable / form.file
        assert (form.admitted, form.reason, form.agreement) == (True, None, 1.0)
        assert (form.accuracy, form.accuracy_points) == (1.0, 0.0)
        assert (form.sha256, form.size_bytes) == (files.digest(file), file.stat().st_size)
        assert form.latency_ms is not None
        assert form.latency_ms > 0
        answers = paths.portable / "answers.npy"
        words = ["-I", "-c", ALONE, file, paths.arrays / "test_images.npy", answers]
        subprocess.run([sys.executable, *words], check=True)
        difference = np.abs(np.load(answers) - predictions.probabilities_nk).max()
        assert difference == pytest.approx(form.probability_difference, abs=1e-6)
    assert (forms["onnx"].probability_difference or 1) < 1e-5
    report = PortableReport.read(paths.portable_report)
    assert report.model_sha256 == files.digest(paths.model)
    assert report.versions["onnxruntime"]


def test_exporting_again_gives_the_same_bytes(paths, export) -> None:
    """In one process too, where tf2onnx counts on in its names."""
    export()
    first = {path.name: path.read_bytes() for path in paths.portable.iterdir()}
    export()
    assert {path.name: path.read_bytes() for path in paths.portable.iterdir()} == first
    (graph,) = [onnx.load(paths.portable / "model.onnx").graph]
    assert [value.name for value in (*graph.input, *graph.output)] == ["images", "probabilities"]


def test_without_validation_images_there_is_no_int8(paths, export) -> None:
    np.save(paths.arrays / "validation_images.npy", np.zeros((0, 32, 32, 3), np.uint8))
    np.save(paths.arrays / "validation_labels.npy", np.zeros(0, np.uint8))
    forms = export()
    assert forms["onnx"].admitted
    assert not forms["int8"].admitted
    assert "0 validation samples: want some to calibrate it" in (forms["int8"].reason or "")
    assert written(paths) == {"model.onnx"}


def test_forms_of_another_model_than_the_evaluated_one_are_left_out(paths, export, capsys) -> None:
    """And what an earlier export has written is gone."""
    paths.portable.mkdir()
    (paths.portable / "model.onnx").write_text("of an earlier model")
    model = model_file.load(paths.model)
    logits = model.layers[-2]
    logits.set_weights([-values for values in logits.get_weights()])
    model_file.save(model, paths.model)
    forms = export()
    assert [(form.admitted, form.agreement) for form in forms.values()] == [(False, 0.0)] * 2
    assert written(paths) == set()
    reason = "its predictions agree with the Keras model's on 0.00% of 60 test samples"
    said = capsys.readouterr().out
    for name in forms:
        assert f"export: {name}: left out: {reason}, wanted 99.50%\n" in said


def test_what_onnx_cannot_express_is_the_reason_and_the_stage_succeeds(paths, export) -> None:
    images = keras.Input((32, 32, 3), dtype="uint8", name="images")
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 300)(images))
    logits = keras.layers.Dense(2)(keras.ops.erfinv(x))
    model_file.save(keras.Model(images, keras.layers.Softmax()(logits)), paths.model)
    predict(paths)
    reasons = [form.reason or "" for form in export().values()]
    assert len(reasons) == 2
    assert all("Erfinv" in reason for reason in reasons), reasons
    assert written(paths) == set()


@pytest.mark.parametrize("error", [MemoryError(), ModuleNotFoundError("No module named 'onnx'")])
def test_what_is_wrong_with_the_machine_is_no_reason_to_leave_a_form_out(
    paths, export, monkeypatch, error: Exception
) -> None:
    def write(*words: object) -> None:
        raise error

    monkeypatch.setattr(stage, "_write", write)
    with pytest.raises(type(error)):
        export()
    assert not paths.portable_report.exists()


def test_no_form_takes_no_library_and_leaves_an_empty_folder(paths) -> None:
    code = (
        "from pathlib import Path\n"
        "from resnet import params\n"
        "from resnet.export.export import export\n"
        "paths = params.Paths.model_validate_json(sys.argv[1])\n"
        "export(params.Export(forms=(), agreement=1, accuracy=0), paths)"
    )
    modules = loaded(code, paths.model_dump_json())
    assert {"tensorflow", "keras", "onnx", "onnxruntime", "tf2onnx"} & modules == set()
    assert written(paths) == set()
    assert json.loads(paths.portable_report.read_text())["forms"] == []
