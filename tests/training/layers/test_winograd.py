"""Winograd's convolution compared with Keras's own."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from resnet.training.engines.tensorflow_engine import TensorFlowEngine
from resnet.training.layers import winograd
from resnet.training.layers.swap import swap_layers
from resnet.training.layers.winograd import WinogradConv2D


def normal(*shape: int) -> Any:
    return tf.constant(np.random.default_rng(len(shape)).standard_normal(shape, np.float32))


def results(convolve: Any, side: int, output_side: int) -> list[Any]:
    """The output of `convolve`, and the gradients of maps and kernel for a gradient of it."""
    x, kernel = normal(3, side, side, 5), normal(3, 3, 5, 7)
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        y = convolve(x, kernel)
    return [y, *tape.gradient(y, [x, kernel], normal(3, output_side, output_side, 7))]


@pytest.mark.parametrize(("padding", "side", "output_side"), [(1, 8, 8), (0, 7, 5)])
def test_values_and_gradients_are_those_of_the_plain_convolution(
    padding: int, side: int, output_side: int
) -> None:
    def plain(x: Any, kernel: Any) -> Any:
        return tf.nn.conv2d(x, kernel, 1, ["VALID", "SAME"][padding])

    def fast(x: Any, kernel: Any) -> Any:
        return winograd.convolution(x, kernel, padding)

    pairs = zip(results(fast, side, output_side), results(plain, side, output_side), strict=True)
    for result, expected in pairs:
        np.testing.assert_allclose(result, expected, atol=2e-5 * np.abs(expected).max())


def network(filters: int) -> Any:
    maps = keras.Input((16, 16, 64))
    y = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(maps)
    return keras.Model(maps, keras.layers.BatchNormalization()(y))


def test_a_wide_layer_is_swapped_and_a_narrow_one_stays() -> None:
    classes = [
        type(swap_layers(network(filters), TensorFlowEngine.layer_class).layers[1])
        for filters in (64, 8)
    ]
    assert classes == [WinogradConv2D, keras.layers.Conv2D]


@pytest.mark.parametrize("training", [True, False])
def test_a_network_of_faster_layers_has_the_outputs_of_the_stock_one(training: bool) -> None:
    stock, maps = network(64), normal(2, 16, 16, 64)
    np.testing.assert_allclose(
        swap_layers(stock, TensorFlowEngine.layer_class)(maps, training=training),
        stock(maps, training=training),
        atol=1e-4,
    )


def test_the_same_maps_give_the_same_bits() -> None:
    first, second = (
        results(lambda x, kernel: winograd.convolution(x, kernel, 1), 8, 8) for _ in range(2)
    )
    assert all(np.array_equal(*pair) for pair in zip(first, second, strict=True))
