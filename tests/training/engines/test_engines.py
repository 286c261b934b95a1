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
from resnet.forms import augmentation, draws
from resnet.forms.data_spec import DataSpec
from resnet.model import precision
from resnet.nets.build import build, whiten
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
DATA = DataSpec("image", (32, 32, 3), [128.0] * 3, [60.0] * 3, classes=10)
# Two devices, and little time for the compiler, as the network is tiny.
FLAGS = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"


def created(p: Params) -> Engine:
    images = arrays.load(p.paths, "train")
    table = schedule.rates(p.train.schedule, STEPS)
    return create(TrainingJob(p.net, DATA, p.train, table, images.images_nhwc, images.labels_n))


def drawn(p: Params, chunk: range) -> draws.Draws:
    return augmentation.draw("image", 0, 1, chunk, 320, p.train.batch, p.train.augment)


def measured(p: Params, engine: Engine) -> dict[str, Any]:
    """The loss of each step, and the validation scores before and after them."""
    split = arrays.load(p.paths, "validation")
    before, start = engine.score(split.images_nhwc, split.labels_n).tolist(), engine.state()
    losses = engine.train(drawn(p, range(STEPS)))[:, 0].tolist()
    after = engine.score(split.images_nhwc, split.labels_n).tolist()
    weights = engine.weights()
    engine.restore(start)
    for chunk in (range(5), range(5, 6), range(6, STEPS)):
        engine.train(drawn(p, chunk))
    return {
        "before": before,
        "losses": losses,
        "after": after,
        "weights": [(str(weight.dtype), list(weight.shape)) for weight in weights],
        "again": all(map(np.array_equal, engine.weights(), weights)),
    }


def diagnosed(p: Params) -> dict[str, float]:
    """The diagnostics of the network's initial weights."""
    split = arrays.load(p.paths, "validation")
    diagnose = Diagnostics(p.net, DATA, split.images_nhwc, split.labels_n)
    network = build(p.net, DATA)
    whiten(network, split.images_nhwc)
    return diagnose(network.get_weights())


def measured_on_jax(p: Params) -> dict[str, Any]:
    """The same, and the features of this engine alone, in a process with two devices."""
    from tests.training.engines import jax_stock

    two, half = (changed(p, devices=2), changed(p, precision="bfloat16"))
    engine = created(p)
    before = jax_leaves(engine)
    return {
        "one": measured(p, engine),
        "two": measured(two, created(two)),
        "half": measured(half, created(half)),
        "donated": [leaf.is_deleted() for leaf in before],
        "diagnosed": diagnosed(p),
        "differences": jax_stock.differences(),
        "large mean": jax_stock.difference_with_a_large_mean(),
        "packed in bfloat16": jax_stock.gradient_difference_in_bfloat16(),
        "timed": timed_on_jax(),
        "compiled": jax_stock.compiled_with_gpu_options(),
        "layer classes": jax_stock.layer_classes(p.net.model_copy(update=RESNET_14)),
        "refused": [refusal(changed(p, devices=3)), refusal(changed(p, devices="all", batch=33))],
    }


def timed_on_jax() -> tuple[float, float]:
    """The seconds of small convolutions in float32 and in bfloat16."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(precision, "SHAPES", ((8, 4),))
        return precision.measure("jax")


def changed(p: Params, **changes: Any) -> Params:
    return p.model_copy(update={"train": p.train.model_copy(update=changes)})


def jax_leaves(engine: Any) -> list[Any]:
    import jax

    return jax.tree.leaves(engine._state)


def refusal(p: Params) -> str:
    with pytest.raises(PipelineError) as caught:
        created(p)
    return str(caught.value)


@pytest.fixture(scope="module")
def on_tensorflow(settings_of_module: Settings) -> dict[str, Any]:
    p = settings_of_module(*TWO_GROUPS)
    return measured(p, created(p))


@pytest.fixture(scope="module")
def half_on_tensorflow(settings_of_module: Settings) -> dict[str, Any]:
    p = settings_of_module(*TWO_GROUPS, "train.precision=bfloat16")
    return measured(p, created(p))


@pytest.fixture(scope="module")
def on_jax(settings_of_module: Settings) -> dict[str, Any]:
    """The measurements of a process that runs on JAX with two CPU devices."""
    p = settings_of_module("train.backend=jax", *TWO_GROUPS).model_dump_json()
    output = subprocess.run(
        [sys.executable, "-c", JAX, str(REPOSITORY), p],
        env={**os.environ, "XLA_FLAGS": FLAGS},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    return dict(json.loads(output.splitlines()[-1]))


def test_jax_and_tensorflow_make_the_same_steps_from_the_same_weights(
    on_tensorflow: dict[str, Any], on_jax: dict[str, Any]
) -> None:
    one = on_jax["one"]
    assert one["weights"] == [[dtype, shape] for dtype, shape in on_tensorflow["weights"]]
    assert one["before"] == pytest.approx(on_tensorflow["before"], rel=1e-4)
    assert one["losses"][0] == pytest.approx(on_tensorflow["losses"][0], rel=1e-5)
    assert one["losses"] == pytest.approx(on_tensorflow["losses"], rel=1e-2)
    assert one["after"][0] < one["before"][0]


def test_jax_and_tensorflow_diagnose_alike(
    settings_of_module: Settings, on_jax: dict[str, Any]
) -> None:
    assert on_jax["diagnosed"] == pytest.approx(
        diagnosed(settings_of_module(*TWO_GROUPS)), rel=1e-4
    )


def test_the_faster_layers_on_jax_have_the_outputs_of_keras_s_own(
    on_jax: dict[str, Any],
) -> None:
    assert len(on_jax["differences"]) == 6
    assert max(on_jax["differences"].values()) < 2e-6
    assert on_jax["large mean"] < 1e-3
    assert on_jax["packed in bfloat16"] < 1e-5


def test_on_a_gpu_convolutions_of_few_channels_are_packed(on_jax: dict[str, Any]) -> None:
    counts = on_jax["layer classes"]
    # The first group's four and the second's three of stride 1; not the stem's of 3 channels.
    assert counts["PackedConv2D"] == 7
    assert counts["Conv2D"] == 6
    assert counts["OnePassBatchNormalization"] == 13
    assert on_jax["compiled"] == 2


def test_two_devices_that_share_each_batch_make_the_steps_of_one(on_jax: dict[str, Any]) -> None:
    one, two = on_jax["one"], on_jax["two"]
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-5)
    assert two["after"] == pytest.approx(one["after"], rel=1e-5)


def test_after_restoring_a_state_steps_in_other_chunks_give_the_same_bits(
    on_tensorflow: dict[str, Any], half_on_tensorflow: dict[str, Any], on_jax: dict[str, Any]
) -> None:
    assert on_tensorflow["again"]
    assert half_on_tensorflow["again"]
    assert on_jax["half"]["again"]
    assert on_jax["one"]["again"]
    assert on_jax["two"]["again"]


def test_on_jax_the_steps_make_no_copy_of_the_state(on_jax: dict[str, Any]) -> None:
    assert all(on_jax["donated"])


def test_bfloat16_is_near_float32_and_keeps_float32_weights(
    on_tensorflow: dict[str, Any], half_on_tensorflow: dict[str, Any], on_jax: dict[str, Any]
) -> None:
    for half, one in ((on_jax["half"], on_jax["one"]), (half_on_tensorflow, on_tensorflow)):
        assert half["losses"] != one["losses"]
        assert half["losses"] == pytest.approx(one["losses"], rel=5e-2)
        assert half["weights"] == one["weights"]
        assert {dtype for dtype, _ in half["weights"]} == {"float32"}


def test_on_jax_convolutions_are_timed_in_both_precisions(on_jax: dict[str, Any]) -> None:
    assert min(on_jax["timed"]) > 0
    assert len(on_jax["timed"]) == 2


def test_too_many_devices_or_an_uneven_batch_are_refused(on_jax: dict[str, Any]) -> None:
    too_many, uneven = on_jax["refused"]
    assert "train.devices is 3, but JAX sees 2 (cpu)" in too_many
    assert "train.batch is 33, which 2 devices cannot share evenly" in uneven


def test_scores_are_means_over_all_images_whatever_the_batch(
    settings: Callable[..., Params],
) -> None:
    engine = created(settings())
    images = np.random.default_rng(0).integers(0, 256, (730, 32, 32, 3), np.uint8)
    labels = np.random.default_rng(1).integers(0, 10, 730).astype(np.uint8)
    parts = [(engine.score(images[part], labels[part])) for part in (slice(530), slice(530, 730))]
    mean = (530 * parts[0] + 200 * parts[1]) / 730
    np.testing.assert_allclose(engine.score(images, labels), mean, rtol=1e-5)


def test_weights_are_copies(settings: Callable[..., Params]) -> None:
    p = settings()
    engine = created(p)
    before = engine.weights()
    copy = before[-1].copy()
    engine.train(drawn(p, range(1)))
    np.testing.assert_array_equal(before[-1], copy)
    assert not np.array_equal(engine.weights()[-1], copy)
