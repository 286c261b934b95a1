"""Fold batch normalisation into the convolution before it: a model in, a faster equal one out.

In inference, normalisation is scale × maps + offset for each channel, and a convolution can do that
itself with a scaled kernel and a bias.
"""

from collections import Counter
from typing import Any

import keras
import numpy as np


def folded(model: keras.Model) -> keras.Model:
    """A model with the same outputs in inference, up to rounding; `model` is not changed.

    A normalisation is folded if it is the only layer that uses the convolution's output; models
    within the model are folded, too. The new model shares no weight with `model`, and is not for
    training.
    """
    # A Sequential model cannot be called layer by layer; a model of its inputs and outputs can.
    model = keras.Model(model.inputs, model.outputs, name=model.name)
    convolution_of = _foldable(model)
    norm_of = {convolution.name: name for name, convolution in convolution_of.items()}

    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return folded(layer)
        bias = {"use_bias": True} if layer.name in norm_of else {}
        return type(layer).from_config({**layer.get_config(), **bias})

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        return args[0] if layer.name in convolution_of else layer(*args, **kwargs)

    copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in copy.layers:
        if not layer.weights or isinstance(layer, keras.Model):
            continue
        old = model.get_layer(layer.name)
        norm = norm_of.get(layer.name)
        layer.set_weights(_merged(old, model.get_layer(norm)) if norm else old.get_weights())
    return copy


def _foldable(model: keras.Model) -> dict[str, Any]:
    """The name of each normalisation that can be folded → the convolution before it."""
    excluded = (keras.layers.InputLayer, keras.Model)
    layers = [layer for layer in model.layers if not isinstance(layer, excluded)]
    inputs = [maps for layer in layers for maps in keras.tree.flatten(layer.input)]
    uses = Counter(map(id, inputs + model.outputs))
    convolutions = {
        id(layer.output): layer
        for layer in layers
        if type(layer) is keras.layers.Conv2D and layer.activation is keras.activations.linear
    }
    return {
        layer.name: convolutions[id(layer.input)]
        for layer in layers
        if isinstance(layer, keras.layers.BatchNormalization)
        and id(layer.input) in convolutions
        and uses[id(layer.input)] == 1
    }


def _merged(convolution: Any, norm: Any) -> list[np.ndarray]:
    """Kernel and bias of a convolution that also applies `norm`."""
    mean, variance = np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)
    scale = 1 / np.sqrt(variance + np.float32(norm.epsilon))
    scale = scale * np.asarray(norm.gamma) if norm.scale else scale
    bias = np.asarray(convolution.bias) if convolution.use_bias else 0
    offset = np.asarray(norm.beta) if norm.center else 0
    return [np.asarray(convolution.kernel) * scale, (bias - mean) * scale + offset]
