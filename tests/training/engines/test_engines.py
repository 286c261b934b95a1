"""Both engines from one seed: TensorFlow's in this process, JAX's in one of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from resnet.data import arrays
from resnet.errors import PipelineError
from resnet.forms.image import draws
from resnet.nets.build import build, whiten
from resnet.nets.data_spec import DataSpec
from resnet.params import Params
from resnet.training import schedule
from resnet.training.diagnostics import Diagnostics
from resnet.training.engines.create import create
from resnet.training.engines.interface import Engine, TrainingJob
from tests.support import REPOSITORY

Settings = Callable[..., Params]

STEPS = 10
TWO_GROUPS = "net.depth=6", "net.widths=[4, 8]"
JAX = """
import json, sys
from resnet.model import backend
from resnet import params
backend.select("jax", "cpu")
sys.path.insert(0, sys.argv[1])
from tests.training.engines.test_engines import measured_on_jax
print(json.dumps(measured_on_jax(params.check(json.loads(sys.argv[2])))))
"""
RESNET_14 = {"block": "basic", "stem": "convolution", "depth": 14, "widths": (16, 32, 64)}
DATA = DataSpec([128.0] * 3, [60.0] * 3, classes=10)
# Two devices, and little time for the compiler, as the network is tiny.
FLAGS = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"


def made(p: Params) -> Engine:
    images = arrays.load(p.paths.arrays, "train")
    table = schedule.rates(p.train.schedule, STEPS)
    return create(TrainingJob(p.net, DATA, p.train, table, images.images_nhwc, images.labels_n))


def drawn(p: Params, chunk: range) -> draws.Draws:
    return draws.draw(0, 1, chunk, 320, p.train.batch, p.train.augment)


def measured(p: Params, chosen: Engine) -> dict[str, Any]:
    """The loss of each step, and the validation scores before and after them."""
    split = arrays.load(p.paths.arrays, "validation")
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
        "weights": [(str(weight.dtype), list(weight.shape)) for weight in weights],
        "again": all(map(np.array_equal, chosen.weights(), weights)),
    }


def diagnosed(p: Params) -> dict[str, float]:
    """The diagnostics of the network's first weights."""
    split = arrays.load(p.paths.arrays, "validation")
    probe = Diagnostics(p.net, DATA, split.images_nhwc, split.labels_n)
    network = build(p.net, DATA)
    whiten(network, split.images_nhwc)
    return probe(network.get_weights())


def measured_on_jax(p: Params) -> dict[str, Any]:
    """The same, and what only this engine can, in a process that has two devices."""
    from tests.training.engines import jax_stock

    two, half = (changed(p, devices=2), changed(p, precision="bfloat16"))
    chosen = made(p)
    before = jax_leaves(chosen)
    return {
        "one": measured(p, chosen),
        "two": measured(two, made(two)),
        "half": measured(half, made(half)),
        "donated": [leaf.is_deleted() for leaf in before],
        "diagnosed": diagnosed(p),
        "differences": jax_stock.differences(),
        "great mean": jax_stock.of_a_great_mean(),
        "packed in bfloat16": jax_stock.half(),
        "graphed": jax_stock.graphed(),
        "exchanged": jax_stock.exchanged(p.net.model_copy(update=RESNET_14)),
        "refused": [refusal(changed(p, devices=3)), refusal(changed(p, devices="all", batch=33))],
    }


def changed(p: Params, **how: Any) -> Params:
    return p.model_copy(update={"train": p.train.model_copy(update=how)})


def jax_leaves(chosen: Any) -> list[Any]:
    import jax

    return jax.tree.leaves(chosen._state)


def refusal(p: Params) -> str:
    with pytest.raises(PipelineError) as caught:
        made(p)
    return str(caught.value)


@pytest.fixture(scope="module")
def ours(settings_of_module: Settings) -> dict[str, Any]:
    p = settings_of_module(*TWO_GROUPS)
    return measured(p, made(p))


@pytest.fixture(scope="module")
def theirs(settings_of_module: Settings) -> dict[str, Any]:
    """What a process that runs on JAX, with two CPU devices, has measured."""
    p = settings_of_module("train.backend=jax", *TWO_GROUPS).model_dump_json()
    told = subprocess.run(
        [sys.executable, "-c", JAX, str(REPOSITORY), p],
        env={**os.environ, "XLA_FLAGS": FLAGS},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    return dict(json.loads(told.splitlines()[-1]))


def test_jax_and_tensorflow_make_the_same_steps_from_the_same_weights(
    ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    one = theirs["one"]
    assert one["weights"] == [[dtype, shape] for dtype, shape in ours["weights"]]
    assert one["before"] == pytest.approx(ours["before"], rel=1e-4)
    assert one["losses"][0] == pytest.approx(ours["losses"][0], rel=1e-5)
    assert one["losses"] == pytest.approx(ours["losses"], rel=1e-2)
    assert one["after"][0] < one["before"][0]


def test_jax_and_tensorflow_diagnose_alike(
    settings_of_module: Settings, theirs: dict[str, Any]
) -> None:
    assert theirs["diagnosed"] == pytest.approx(
        diagnosed(settings_of_module(*TWO_GROUPS)), rel=1e-4
    )


def test_the_layers_that_jax_trains_sooner_give_what_keras_s_own_give(
    theirs: dict[str, Any],
) -> None:
    assert len(theirs["differences"]) == 6
    assert max(theirs["differences"].values()) < 2e-6
    assert theirs["great mean"] < 1e-3
    assert theirs["packed in bfloat16"] < 1e-5


def test_on_a_gpu_convolutions_of_few_channels_are_packed(theirs: dict[str, Any]) -> None:
    found = theirs["exchanged"]
    # The first group's four and the second's three of stride 1; not the stem's of 3 channels.
    assert found["PackedConv2D"] == 7
    assert found["Conv2D"] == 6
    assert found["OnePassBatchNormalization"] == 13
    assert theirs["graphed"] == 2


def test_two_devices_that_share_each_batch_make_the_steps_of_one(theirs: dict[str, Any]) -> None:
    one, two = theirs["one"], theirs["two"]
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-5)
    assert two["after"] == pytest.approx(one["after"], rel=1e-5)


def test_from_a_restored_state_steps_in_other_chunks_give_the_same_bits(
    ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    assert ours["again"]
    assert theirs["one"]["again"]
    assert theirs["two"]["again"]


def test_on_jax_the_steps_make_no_copy_of_the_state(theirs: dict[str, Any]) -> None:
    assert all(theirs["donated"])


def test_bfloat16_is_near_float32_and_keeps_float32_weights(theirs: dict[str, Any]) -> None:
    half, one = theirs["half"], theirs["one"]
    assert half["losses"] != one["losses"]
    assert half["losses"] == pytest.approx(one["losses"], rel=5e-2)
    assert half["weights"] == one["weights"]
    assert {dtype for dtype, _ in half["weights"]} == {"float32"}


def test_devices_that_are_not_there_or_do_not_fit_are_refused(theirs: dict[str, Any]) -> None:
    too_many, uneven = theirs["refused"]
    assert "train.devices is 3, but JAX sees 2 (cpu)" in too_many
    assert "train.batch is 33, which 2 devices cannot share evenly" in uneven


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
    kept = before[-1].copy()
    chosen.train(drawn(p, range(1)))
    np.testing.assert_array_equal(before[-1], kept)
    assert not np.array_equal(chosen.weights()[-1], kept)
