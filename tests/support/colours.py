"""A model that names the colour of an image, and a checkout whose registry has it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from resnet.evaluation.metrics import Metrics
from resnet.evaluation.records import Evaluation, Predictions
from resnet.evaluation.scoring_precision import ScoringPrecision
from resnet.forms import statistics
from resnet.model import backend, model_file
from resnet.registry import store, versions
from resnet.serving.predict import Scorer
from resnet.system import files
from tests.support import profiles

CLASSES = ("dark", "red", "green", "blue")
PROFILE = profiles.of_images(CLASSES)
Colours = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that names the colour of an image."""
    layers = keras.layers
    network = keras.Sequential(
        [
            layers.Input((32, 32, 3), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4),
            layers.Softmax(),
        ]
    )
    weights = np.hstack([np.zeros((3, 1)), 8 * np.eye(3)])
    network.layers[2].set_weights([weights, np.array([4.0, 0, 0, 0])])
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model_file.save(network, path)
    return path


@pytest.fixture(scope="session")
def colours() -> Colours:
    """Makes images that are dark, red, green or blue, by the shares given, none like another."""

    def make(number: int, seed: int, shares: tuple[float, ...] = (0.25,) * 4) -> np.ndarray:
        rng = np.random.default_rng(seed)
        of_n = rng.choice(4, number, p=shares)
        images = rng.integers(0, 60, (number, 32, 32, 3))
        for k in (1, 2, 3):
            images[of_n == k, :, :, k - 1] += rng.integers(140, 190, ((of_n == k).sum(), 1, 1))
        return images.astype(np.uint8)

    return make


@pytest.fixture(scope="module")
def registry(model: Path, colours: Colours, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose registry has the model as `colours`, version 1 in production.

    Its predictions in bfloat16 were compared. Version 2 is the same from an earlier release: its
    profile has neither brightness nor contrast, and its evaluation no comparison.
    """
    root = tmp_path_factory.mktemp("registry")
    client = store.client(root)
    client.create_registered_model("colours")
    images = colours(2000, seed=0)
    light = {name: one.as_dict() for name, one in statistics.histograms("image", images).items()}
    compared = ScoringPrecision("bfloat16", "they agree", "tensorflow", backend.cpu_model())
    for told, scoring in ((light, compared), ({}, None)):
        _register(client, root, model, {**PROFILE.values, **told}, images, scoring)
    client.set_registered_model_alias("colours", "production", "1")
    return root


def _register(
    client: Any,
    root: Path,
    model: Path,
    profile: dict[str, Any],
    images: np.ndarray,
    scoring: ScoringPrecision | None,
) -> None:
    """As publish does, with the images as the test images, all of which are right."""
    probabilities_nk = Scorer(model_file.load(model))(images)
    predictions = Predictions(probabilities_nk.argmax(axis=1).astype(np.uint8), probabilities_nk)
    right = len(images)
    numbers: dict[str, Any] = dict.fromkeys(
        ("correct", "images", "parameters", "flops", "size_bytes"), right
    )
    shares = ("accuracy", "accuracy_low", "accuracy_high", "loss", "top2", "calibration_error")
    timings = ("latency_ms", "throughput")
    metrics = Metrics(**(numbers | dict.fromkeys((*shares, *timings), 1.0)))
    scored = Evaluation(metrics, "m" * 64, "t" * 64, scoring=scoring)
    run = client.create_run(store.experiment(client, "colours")).info.run_id
    scored.write(root / "metrics.json")
    predictions.write(root / "predictions.parquet")
    client.log_artifact(run, str(model))
    for name in ("metrics.json", "predictions.parquet"):
        client.log_artifact(run, str(root / name), "evaluation")
    client.log_dict(run, profile, versions.PROFILE_FILE)
    tags = {
        "file_hash": files.digest(model),
        "evaluation_hash": scored.hash,
        "test_hash": scored.test_hash,
    }
    client.create_model_version("colours", f"runs:/{run}/model.keras", run, tags=tags)
