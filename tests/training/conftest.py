"""A small data set that a network learns in seconds, and the parameters to train on it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet import params
from resnet.params import Params
from tests.support import REPOSITORY


def coloured(count: int, seed: int) -> tuple[Any, Any]:
    """Images of ten classes, each a colour under noise, and their labels."""
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % 10).astype(np.uint8)
    colours = np.random.default_rng(0).integers(40, 216, (10, 1, 1, 3))
    noise = random.normal(0, 30, (count, 32, 32, 3))
    return np.clip(colours[labels] + noise, 0, 255).astype(np.uint8), labels


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Params]:
    """Parameters of a tiny network with 320 training and 70 validation images in tmp_path."""
    return prepared(tmp_path)


@pytest.fixture(scope="module")
def settings_of_module(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Params]:
    """`settings` with one folder for all tests of a module."""
    return prepared(tmp_path_factory.mktemp("module"))


def prepared(folder: Path) -> Callable[..., Params]:
    (folder / "arrays").mkdir()
    for seed, (split, count) in enumerate({"train": 320, "validation": 70}.items()):
        images, labels = coloured(count, seed)
        np.save(folder / "arrays" / f"{split}_images.npy", images)
        np.save(folder / "arrays" / f"{split}_labels.npy", labels)
    profile = {
        "mean": [128.0] * 3,
        "deviation": [60.0] * 3,
        "classes": [f"class {k}" for k in range(10)],
    }
    (folder / "profile.json").write_text(json.dumps(profile))

    def parameters(*overrides: str) -> Params:
        paths = {
            "arrays": "arrays",
            "profile": "profile.json",
            "model": "model.keras",
            "history": "history.csv",
            "training": "training.json",
        }
        small = [
            *(f"paths.{name}={folder / file}" for name, file in paths.items()),
            "net.widths=[4]",
            "net.depth=4",
            "train.device=cpu",
            "train.precision=float32",
            "train.batch=32",
            "train.steps=20",
            "train.schedule.peak=0.2",
        ]
        return params.check(
            params.merge(params.read(REPOSITORY), REPOSITORY, "smoke", [*small, *overrides])
        )

    return parameters
