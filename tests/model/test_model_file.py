import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet.errors import PipelineError
from resnet.forms.data_spec import DataSpec
from resnet.model import model_file
from resnet.nets.build import build, calibrated, published
from resnet.params import Net

NET = Net(
    block="basic",
    shortcut="A",
    depth=6,
    widths=(4, 8),
    stem="convolution",
    stem_stride=2,
    activation="relu",
    views=1,
)
POOLED = NET.model_copy(
    update={"block": "pooled", "stem": "whitening", "activation": "silu", "views": 6}
)
DATA = DataSpec("image", (32, 32, 3), [125.0, 123.0, 114.0], [63.0, 62.0, 67.0], classes=10)


def model(net: Net = NET) -> Any:
    weights = build(net, DATA).get_weights()
    return published(net, DATA, weights)


def images() -> Any:
    return np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)


def test_equal_models_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("one.keras", "other.keras"):
        model_file.save(model(), tmp_path / name)
    assert (tmp_path / "one.keras").read_bytes() == (tmp_path / "other.keras").read_bytes()


def test_a_loaded_model_is_saved_as_the_same_bytes(tmp_path: Path) -> None:
    model_file.save(model(), tmp_path / "one.keras")
    model_file.save(model_file.load(tmp_path / "one.keras"), tmp_path / "other.keras")
    assert (tmp_path / "one.keras").read_bytes() == (tmp_path / "other.keras").read_bytes()


@pytest.mark.parametrize("net", [NET, POOLED])
@pytest.mark.parametrize("temperature", [None, 0.4774])
def test_a_loaded_model_has_the_hash_and_the_outputs_of_the_saved_one(
    net: Net, temperature: float | None, tmp_path: Path
) -> None:
    saved = calibrated(model(net), temperature) if temperature else model(net)
    model_file.save(saved, tmp_path / "model.keras")
    loaded = model_file.load(tmp_path / "model.keras")
    assert model_file.model_hash(loaded) == model_file.model_hash(saved)
    np.testing.assert_array_equal(loaded(images()), saved(images()))


def test_one_changed_weight_or_another_architecture_changes_the_hash() -> None:
    hashes = {model_file.model_hash(model())}
    changed = model()
    kernel = changed.weights[0]
    kernel.assign(np.nextafter(kernel.numpy(), np.float32(9)))
    hashes.add(model_file.model_hash(changed))
    hashes.add(
        model_file.model_hash(published(NET, replace(DATA, mean=[1.0] * 3), model().get_weights()))
    )
    assert len(hashes) == 3


def test_a_process_without_this_package_loads_and_scores_models(tmp_path: Path) -> None:
    models = [model(NET), model(POOLED), calibrated(model(POOLED), 0.4774)]
    for number, saved in enumerate(models):
        model_file.save(saved, tmp_path / f"{number}.keras")
    np.save(tmp_path / "images.npy", images())
    code = """
import sys
sys.modules["resnet"] = None
import keras, numpy as np
for number in (0, 1, 2):
    model = keras.saving.load_model(f"{number}.keras", safe_mode=True)
    np.save(f"{number}.npy", model(np.load("images.npy")))
"""
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    for number, saved in enumerate(models):
        probabilities = np.load(tmp_path / f"{number}.npy")
        np.testing.assert_allclose(probabilities, saved(images()), rtol=1e-6)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
        assert probabilities.dtype == np.float32


def test_a_missing_model_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="there is no model; train one"):
        model_file.load(tmp_path / "model.keras")


def test_a_cut_off_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    model_file.save(model(), path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(PipelineError, match="no model that Keras can load"):
        model_file.load(path)
