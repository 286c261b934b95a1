from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from resnet.forms.data_spec import DataSpec
from resnet.nets.build import build
from resnet.params import Params
from resnet.training.diagnostics import Diagnostics, block

DATA = DataSpec("image", (32, 32, 3), [128.0] * 3, [60.0] * 3, classes=10)
HE = ["net.block=basic", "net.stem=convolution", "net.depth=6", "net.widths=[4, 8]"]


@pytest.fixture(scope="module")
def network(settings_of_module: Callable[..., Params]) -> Any:
    return build(settings_of_module(*HE).net, DATA)


@pytest.fixture(scope="module")
def batch() -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (24, 32, 32, 3), np.uint8), np.arange(24) % 10


@pytest.fixture(scope="module")
def diagnostics(
    settings_of_module: Callable[..., Params], network: Any, batch: tuple[Any, Any]
) -> dict[str, float]:
    diagnose = Diagnostics(settings_of_module(*HE).net, DATA, *batch)
    first = diagnose(network.get_weights())
    assert diagnose(network.get_weights()) == first
    return first


def test_every_block_has_its_three_numbers(diagnostics: dict[str, float]) -> None:
    blocks = ["stem", "group1_block1", "group2_block1", "logits"]
    kinds = ["gradient_norm", "weight_norm", "activation_scale"]
    assert list(diagnostics) == [f"{kind}/{name}" for kind in kinds for name in blocks]


def test_a_weight_norm_covers_all_trainable_weights_of_the_block(
    network: Any, diagnostics: dict[str, float]
) -> None:
    trained = [v for v in network.trainable_variables if v.path.startswith("group2_block1_")]
    assert len(trained) == 6  # two kernels, and of two normalisations the scales and the offsets
    norm = np.sqrt(sum(np.sum(np.square(variable)) for variable in trained))
    assert diagnostics["weight_norm/group2_block1"] == pytest.approx(norm)


def test_the_last_layer_s_diagnostics_are_those_of_calculus(
    network: Any, batch: tuple[Any, Any], diagnostics: dict[str, float]
) -> None:
    images, labels = batch
    pooled, logits = keras.Model(
        network.input, [network.get_layer("head_pool").output, network.output]
    )(images, training=True)
    error = (np.asarray(keras.ops.softmax(logits)) - np.eye(10)[labels]) / len(labels)
    gradient = [np.asarray(pooled).T @ error, error.sum(axis=0)]
    norm = np.sqrt(sum(np.sum(np.square(part)) for part in gradient))
    assert diagnostics["gradient_norm/logits"] == pytest.approx(norm, rel=1e-4)
    scale = np.sqrt(np.mean(np.square(logits)))
    assert diagnostics["activation_scale/logits"] == pytest.approx(scale, rel=1e-4)


def test_a_block_is_identified_by_the_beginning_of_a_name() -> None:
    names = ["stem_conv/kernel", "group10_block2_norm1/gamma", "head_pool", "logits/bias"]
    assert list(map(block, names)) == ["stem", "group10_block2", "head", "logits"]
