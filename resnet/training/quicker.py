"""A network in layers that its backend trains sooner: the same weights, names and outputs."""

from collections.abc import Callable
from typing import Any

import keras

Kind = Callable[[keras.layers.Layer], type[Any]]


def quicker(model: keras.Model, kind: Kind) -> keras.Model:
    """`model` anew, with its values, each layer of the class that `kind` chooses for it."""

    def made(layer: keras.layers.Layer) -> keras.layers.Layer:
        return kind(layer).from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=made)
    copy.set_weights(model.get_weights())
    return copy
