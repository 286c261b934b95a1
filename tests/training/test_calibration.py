"""A trained model is published with the temperature that fits the validation images."""

import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from resnet.data import arrays
from resnet.evaluation.records import Predictions
from resnet.evaluation.score import calibration, calibration_error
from resnet.forms.data_spec import DataSpec
from resnet.model import model_file, temperature
from resnet.nets.build import published
from resnet.params import Params
from tests.training.conftest import coloured
from tests.training.test_train import run, without_validation

DATA = DataSpec(
    "image", (32, 32, 3), [128.0] * 3, [60.0] * 3, classes=10
)  # of the fixture's profile


@pytest.fixture(scope="module")
def trained(settings_of_module: Callable[..., Params]) -> Params:
    """After a training with smoothed labels, which make a model less sure than it is right."""
    p = settings_of_module("train.steps=40", "train.label_smoothing=0.4", "net.views=2")
    run(p)
    return p


def both(p: Params) -> tuple[Any, Any]:
    """The model without a temperature, and as it was published."""
    model = model_file.load(p.paths.model)
    return published(p.net, DATA, model.get_weights()), model


def test_the_record_names_the_temperature_of_the_model_and_it_fits_the_validation_images(
    trained: Params,
) -> None:
    before, model = both(trained)
    recorded = json.loads(trained.paths.training.read_text())["temperature"]
    assert recorded == temperature.of(model)
    assert temperature.of(before) is None
    split = arrays.load(trained.paths, "validation")
    logits_nk = np.log(np.asarray(before(split.images_nhwc)))  # but for a constant per image
    assert temperature.fit(logits_nk, split.labels_n) == pytest.approx(recorded, abs=2e-3)


def test_the_published_model_is_better_calibrated_and_predicts_the_same_classes(
    trained: Params,
) -> None:
    images, labels_n = coloured(1000, seed=7)
    before, after = (Predictions(labels_n, np.asarray(model(images))) for model in both(trained))
    assert (after.predicted_n == before.predicted_n).all()
    assert after.correct_n.mean() > 0.3
    errors = [calibration_error(calibration(one, 15)) for one in (before, after)]
    assert errors[1] < errors[0] / 2


def test_without_validation_images_the_model_has_no_temperature(
    settings: Callable[..., Params],
) -> None:
    p = settings()
    without_validation(p)
    run(p)
    before, model = both(p)
    assert json.loads(p.paths.training.read_text())["temperature"] is None
    assert not any(isinstance(layer, keras.layers.Rescaling) for layer in model.layers)
    model_file.save(before, p.paths.model.with_name("before.keras"))
    assert p.paths.model.read_bytes() == p.paths.model.with_name("before.keras").read_bytes()
