"""Swap a network's layers for classes that its backend trains faster: same weights and outputs."""

from collections.abc import Callable
from typing import Any

import keras

LayerClass = Callable[[keras.layers.Layer], type[Any]]


def is_plain_conv3x3(layer: keras.layers.Layer) -> bool:
    """Whether it is Keras's own 3 × 3 convolution, without stride, groups, bias or activation."""
    return (
        type(layer) is keras.layers.Conv2D
        and layer.kernel_size == (3, 3)
        and layer.strides == layer.dilation_rate == (1, 1)
        and layer.groups == 1
        and not layer.use_bias
        and layer.activation is keras.activations.linear
    )


def swap_layers(model: keras.Model, layer_class: LayerClass) -> keras.Model:
    """A copy of `model` with its weights, in which `layer_class(layer)` is each layer's class."""

    def swapped(layer: keras.layers.Layer) -> keras.layers.Layer:
        return layer_class(layer).from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=swapped)
    copy.set_weights(model.get_weights())
    return copy
