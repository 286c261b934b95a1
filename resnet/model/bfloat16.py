"""Compute a model's maps in bfloat16: a float32 model in, a copy of it for scoring out."""

from typing import Any

import keras

# What turns pixels into numbers of about 1, and everything from the linear layer on: bfloat16 has
# no values between 121.5 and 122, and a probability of 0.999 is 1 in it. Training leaves the same
# layers in float32: see `resnet.nets.build`.
FLOAT32 = (
    keras.layers.Average,
    keras.layers.Dense,
    keras.layers.Normalization,
    keras.layers.Rescaling,
    keras.layers.Softmax,
)


def in_bfloat16(model: keras.Model) -> keras.Model:
    """A copy with convolutions and what is between them in bfloat16, their weights too.

    Statistics of normalisation stay float32, and so do the layers `FLOAT32`: first and last, so
    that inputs and outputs have the model's own types. `model` is not changed.
    """

    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return in_bfloat16(layer)
        config = layer.get_config()
        if isinstance(layer, keras.layers.Layer) and not isinstance(layer, FLOAT32):
            config["dtype"] = _policy(layer)
        return type(layer).from_config(config)

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    return copy


def _policy(layer: Any) -> str:
    """Of a layer that computes in bfloat16: `mixed_bfloat16` keeps its weights in float32."""
    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    return "mixed_bfloat16" if is_norm else "bfloat16"
