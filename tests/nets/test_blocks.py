from typing import Any, Literal

import keras
import numpy as np
import pytest

from resnet.nets.blocks import block, group
from resnet.params import Net

Kind = Literal["basic", "preactivation", "pooled"]


def block_model(kind: Kind, shortcut: Literal["A", "B", "none"], width: int, stride: int) -> Any:
    """One block as a model on maps of 8 × 8 pixels and 4 channels."""
    x = keras.Input((8, 8, 4))
    return keras.Model(x, block(x, net(kind, shortcut), width, stride, "block"))


def net(kind: Kind, shortcut: Literal["A", "B", "none"], depth: int = 4) -> Net:
    """One group of 4 channels."""
    return Net(
        block=kind,
        shortcut=shortcut,
        depth=depth,
        widths=(4,),
        stem="convolution",
        stem_stride=1,
        activation="relu",
        views=1,
    )


def set_g_to_zero(model: Any) -> None:
    """Make G = 0: its last convolution, or the normalisation after it, returns zeros."""
    last = ("block_conv2", "block_norm2", "block_conv/", "block_norm/")
    for weight in model.weights:
        if weight.path.startswith(last):
            weight.assign(np.zeros(weight.shape) if "variance" not in weight.path else weight)


def maps() -> Any:
    return np.random.default_rng(0).standard_normal((2, 8, 8, 4)).astype(np.float32)


@pytest.mark.parametrize("kind", ["basic", "preactivation", "pooled"])
def test_with_g_zero_a_block_is_its_identity_shortcut(kind: Kind) -> None:
    model = block_model(kind, "A", width=4, stride=1)
    x = maps()
    assert not np.allclose(model(x), x, atol=0.1)
    set_g_to_zero(model)
    np.testing.assert_allclose(model(x), np.maximum(x, 0) if kind == "basic" else x, atol=1e-6)


@pytest.mark.parametrize("kind", ["basic", "preactivation"])
def test_with_g_zero_option_a_keeps_every_second_pixel_and_adds_zero_channels(kind: Kind) -> None:
    model = block_model(kind, "A", width=6, stride=2)
    set_g_to_zero(model)
    x = maps()
    expected = np.pad(x[:, ::2, ::2], [(0, 0), (0, 0), (0, 0), (0, 2)])
    np.testing.assert_allclose(
        model(x), np.maximum(expected, 0) if kind == "basic" else expected, atol=1e-6
    )


def test_with_g_zero_option_b_is_a_projection_of_every_second_pixel() -> None:
    model = block_model("preactivation", "B", width=6, stride=2)
    set_g_to_zero(model)
    x = maps()
    kernel = model.get_layer("block_shortcut_conv").get_weights()[0][0, 0]
    np.testing.assert_allclose(model(x), x[:, ::2, ::2] @ kernel, atol=1e-5)


@pytest.mark.parametrize("kind", ["basic", "preactivation", "pooled"])
def test_with_g_zero_the_plain_twin_returns_zeros(kind: Kind) -> None:
    model = block_model(kind, "none", width=4, stride=1)
    set_g_to_zero(model)
    np.testing.assert_array_equal(model(maps()), 0)


def test_a_window_of_stride_two_is_centred_on_the_pixel_that_the_shortcut_keeps() -> None:
    model = block_model("preactivation", "none", width=4, stride=2)
    first = model.get_layer("block_conv1")
    kernel = np.zeros((3, 3, 4, 4), np.float32)
    kernel[1, 1] = np.eye(4)
    first.set_weights([kernel])
    outputs = keras.Model(model.input, first.output)(maps())
    inputs = keras.Model(model.input, model.get_layer("block_activation1").output)(maps())
    np.testing.assert_allclose(outputs, np.asarray(inputs)[:, ::2, ::2], atol=1e-6)


def test_a_pooled_group_is_a_transition_that_halves_and_blocks_of_one_convolution() -> None:
    x = keras.Input((8, 8, 3))
    model = keras.Model(x, group(x, net("pooled", "A", depth=6), 1))
    layers = [type(layer).__name__ for layer in model.layers if "Input" not in type(layer).__name__]
    transition = ["Conv2D", "MaxPooling2D", "BatchNormalization", "Activation"]
    one_block = ["Conv2D", "BatchNormalization", "Activation", "Add"]
    assert layers == transition + 3 * one_block
    assert model.output.shape == (None, 4, 4, 4)
