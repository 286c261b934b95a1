from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from resnet.training.engines.tensorflow_engine import TensorFlowEngine
from resnet.training.layers.tensorflow_activation import OnePassActivation

ROUNDING = 2**-8  # of float32 to bfloat16, relative


def activation(name: str, dtype: str, layer_class: type[Any] = keras.layers.Activation) -> Any:
    """The layer with maps of `dtype`, which it computes in."""
    maps = keras.Input((6, 5, 3), dtype=dtype)
    layer = layer_class(name, dtype=dtype)
    layer(maps)
    return layer


def outputs_and_gradient(layer: Any, dtype: str) -> list[Any]:
    """Of the same maps and the same gradient of the outputs, as float32 arrays."""
    random = np.random.default_rng(0)
    maps, dy = (
        tf.cast(tf.constant(3 * random.standard_normal((4, 6, 5, 3)), tf.bfloat16), dtype)
        for _ in range(2)
    )

    @tf.function  # as in the engine's steps
    def computed() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(maps)
            outputs = layer(maps)
        return outputs, tape.gradient(outputs, maps, dy)

    return [tf.cast(values, tf.float32).numpy() for values in computed()]


@pytest.mark.parametrize("name", ["silu", "gelu"])
def test_in_one_pass_outputs_and_gradient_are_those_of_float32_rounded_once(name: str) -> None:
    one_pass = outputs_and_gradient(activation(name, "bfloat16", OnePassActivation), "bfloat16")
    exact = outputs_and_gradient(activation(name, "float32"), "float32")
    stock = outputs_and_gradient(activation(name, "bfloat16"), "bfloat16")
    for ours, wanted, keras_s_own in zip(one_pass, exact, stock, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=ROUNDING, atol=1e-6)
        assert np.abs(keras_s_own - wanted).max() > np.abs(ours - wanted).max()


@pytest.mark.parametrize(
    ("name", "dtype", "expected"),
    [
        ("silu", "bfloat16", OnePassActivation),
        ("gelu", "bfloat16", OnePassActivation),
        ("relu", "bfloat16", keras.layers.Activation),
        ("silu", "float32", keras.layers.Activation),
    ],
)
def test_only_in_bfloat16_other_activations_than_relu_are_computed_in_one_pass(
    name: str, dtype: str, expected: type[Any]
) -> None:
    assert TensorFlowEngine.layer_class(activation(name, dtype)) is expected
