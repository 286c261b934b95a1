"""SiLU and GELU of bfloat16 maps in one pass, for training only.

TensorFlow computes each of their operations on its own, with the maps written and read in between,
and its bfloat16 operations are slower than its float32 ones: together 2 to 3 times the CPU time of
this layer. The published model has Keras's own layer.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

Activation = Callable[[tf.Tensor], tf.Tensor]
ONE_PASS = keras.activations.silu, keras.activations.gelu  # ReLU is one operation anyway


class OnePassActivation(keras.layers.Activation):  # type: ignore[misc]
    """`keras.layers.Activation` of bfloat16 maps, computed in float32 and rounded once."""

    def call(self, inputs: Any) -> Any:
        """bfloat16 maps → bfloat16 maps of the same shape."""

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def differentiable(x: tf.Tensor) -> Any:
            return _activated(x, self.activation), lambda dy: _gradient(x, dy, self.activation)

        return differentiable(inputs)

    @staticmethod
    def is_faster_for(layer: Any) -> bool:
        """Whether this class computes what `layer` computes, and faster."""
        return (
            type(layer) is keras.layers.Activation
            and layer.activation in ONE_PASS
            and layer.compute_dtype == "bfloat16"
        )


@tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
def _activated(x: tf.Tensor, activation: Activation) -> tf.Tensor:
    return tf.cast(activation(tf.cast(x, tf.float32)), x.dtype)


@tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
def _gradient(x: tf.Tensor, dy: tf.Tensor, activation: Activation) -> tf.Tensor:
    """The gradient at x, computed again from x: that keeps no float32 maps for it."""
    maps = tf.cast(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        outputs = activation(maps)
    return tf.cast(tape.gradient(outputs, maps, tf.cast(dy, tf.float32)), x.dtype)
