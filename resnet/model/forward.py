"""A model's forward pass, folded and compiled: uint8 images in, probabilities out.

`model.predict` sets up an iterator in every call and takes about 60 ms for one image; the compiled
call takes 3 (ResNet-20, TensorFlow, two cores). Keras has no way to compile it that is the same on
every backend, so there is a function for each.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from resnet.model.batchnorm_folding import folded
from resnet.model.bfloat16 import in_bfloat16
from resnet.model.precision import Precision

Forward = Callable[[np.ndarray], np.ndarray]
"""uint8 images (N, H, W, C) → float32 probabilities (N, K)."""


def compiled(model: Any, precision: Precision = "float32") -> Forward:
    """The forward pass of a `keras.Model` in inference mode, with its present weights.

    In bfloat16 its layers compute as `resnet.model.bfloat16` says. The first call compiles it; on
    JAX each new N compiles it again.
    """
    copy = folded(model)
    if precision == "bfloat16":
        copy = in_bfloat16(copy)
    return {"tensorflow": _tensorflow, "jax": _jax}[keras.backend.backend()](copy)


def in_batches(forward: Forward, images_nhwc: np.ndarray, batch: int) -> np.ndarray:
    """`forward` of at least one image, `batch` images per call."""
    starts = range(0, len(images_nhwc), batch)
    return np.concatenate([forward(images_nhwc[start : start + batch]) for start in starts])


def _tensorflow(model: Any) -> Forward:
    import tensorflow as tf

    (inputs,) = model.inputs
    signature = tf.TensorSpec((None, *inputs.shape[1:]), inputs.dtype)
    call = tf.function(lambda images: model(images, training=False), input_signature=[signature])
    return lambda images_nhwc: np.asarray(call(tf.constant(images_nhwc)))


def _jax(model: Any) -> Forward:
    import jax

    # The weights are arguments: as constants of the function they would be compiled into it.
    trainable = [variable.value for variable in model.trainable_variables]
    other = [variable.value for variable in model.non_trainable_variables]
    call = jax.jit(lambda t, o, images: model.stateless_call(t, o, images, training=False)[0])
    return lambda images_nhwc: np.asarray(call(trainable, other, images_nhwc))
