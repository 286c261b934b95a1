"""Both engines from one seed: TensorFlow's in this process, JAX's in one of its own."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet.data import arrays, batches
from resnet.params import Params
from resnet.training import engine, schedule

STEPS = 12
JAX = """
import json, sys
from resnet import backend, params
backend.select("jax", "cpu")
sys.path.insert(0, sys.argv[1])
from test_engines import measured
print(json.dumps(measured(params.check(json.loads(sys.argv[2])))))
"""


def made(p: Params) -> engine.Engine:
    images = arrays.load(p.paths.arrays, "train")
    table = schedule.rates(p.train.schedule, STEPS)
    standard = [128.0] * 3, [60.0] * 3
    return engine.create(p.net, p.train, *standard, table, images.images_nhwc, images.labels_n)


def drawn(p: Params, chunk: range) -> batches.Draws:
    return batches.draw(0, 1, chunk, 320, 24, p.train.augment)


def measured(p: Params) -> dict[str, Any]:
    """The loss of each step, and the validation scores before and after them."""
    chosen, split = made(p), arrays.load(p.paths.arrays, "validation")
    before, start = chosen.score(split.images_nhwc, split.labels_n).tolist(), chosen.state()
    losses = chosen.train(drawn(p, range(STEPS)))[:, 0].tolist()
    after = chosen.score(split.images_nhwc, split.labels_n).tolist()
    weights = chosen.weights()
    chosen.restore(start)
    for chunk in (range(5), range(5, 6), range(6, STEPS)):
        chosen.train(drawn(p, chunk))
    return {
        "before": before,
        "losses": losses,
        "after": after,
        "shapes": [list(weight.shape) for weight in weights],
        "again": all(map(np.array_equal, chosen.weights(), weights)),
    }


def test_jax_and_tensorflow_make_the_same_steps_from_the_same_weights(
    settings: Callable[..., Params],
) -> None:
    ours = measured(settings())
    theirs_params = settings_json(settings("train.backend=jax"))
    command = [sys.executable, "-c", JAX, str(Path(__file__).parent), theirs_params]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    theirs = json.loads(told.splitlines()[-1])
    assert theirs["shapes"] == ours["shapes"]
    assert ours["again"], "not the same bits from a restored state, in other chunks"
    assert theirs["again"]
    assert theirs["before"] == pytest.approx(ours["before"], rel=1e-4)
    assert theirs["losses"][0] == pytest.approx(ours["losses"][0], rel=1e-5)
    assert theirs["losses"] == pytest.approx(ours["losses"], rel=1e-2)
    assert theirs["after"][0] < theirs["before"][0]


def settings_json(p: Params) -> str:
    return json.dumps(p.model_dump(mode="json"))


def test_scores_are_means_over_all_images_whatever_the_batch(
    settings: Callable[..., Params],
) -> None:
    chosen = made(settings())
    images = np.random.default_rng(0).integers(0, 256, (730, 32, 32, 3), np.uint8)
    labels = np.random.default_rng(1).integers(0, 10, 730).astype(np.uint8)
    parts = [(chosen.score(images[part], labels[part])) for part in (slice(530), slice(530, 730))]
    wanted = (530 * parts[0] + 200 * parts[1]) / 730
    np.testing.assert_allclose(chosen.score(images, labels), wanted, rtol=1e-5)


def test_weights_are_copies(settings: Callable[..., Params]) -> None:
    p = settings()
    chosen = made(p)
    before = chosen.weights()
    kept = before[0].copy()
    chosen.train(drawn(p, range(1)))
    np.testing.assert_array_equal(before[0], kept)
    assert not np.array_equal(chosen.weights()[0], kept)
