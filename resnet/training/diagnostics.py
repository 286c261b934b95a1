"""How a network is doing, block by block: its weights → norms and scales on a batch of images.

Measured between epochs on a network of its own, so that no bit of the training changes. "Blocks"
are the parts whose layers' names begin alike: stem, group1_block1, …, logits.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from resnet.nets.build import build
from resnet.nets.data_spec import DataSpec
from resnet.params import Net
from resnet.training.engines.interface import Bytes
from resnet.training.loss import cross_entropy

BLOCK = re.compile(r"group\d+(?:_block\d+)?|[a-z]+")
Measure = Callable[[], tuple[list[Any], dict[str, Any]]]


class Diagnostics:
    """A probe of `net` that always looks at the same images; it computes in float32."""

    def __init__(self, net: Net, data: DataSpec, images_nhwc: Bytes, labels_n: Bytes) -> None:
        self._model = build(net, data)
        outputs = {block(layer.name): layer.output for layer in self._model.layers}
        self._blocks = list(dict.fromkeys(block(one.path) for one in self._model.trainable_weights))
        probe = keras.Model(self._model.input, {name: outputs[name] for name in self._blocks})
        self._trained = probe.trainable_variables

        def objective(outputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            loss = ops.mean(cross_entropy(outputs["logits"], labels_n))
            return loss, {name: ops.sqrt(ops.mean(ops.square(x))) for name, x in outputs.items()}

        make = {"tensorflow": _tensorflow, "jax": _jax}[keras.backend.backend()]
        self._measure: Measure = make(probe, images_nhwc, objective)

    def __call__(self, weights: Sequence[npt.NDArray[Any]]) -> dict[str, float]:
        """Three numbers a block, for `weights` in the order of `get_weights` of `build`'s network.

        gradient_norm/BLOCK is that of the mean cross-entropy's gradient by the block's weights,
        weight_norm/BLOCK that of these weights, and activation_scale/BLOCK the root mean square of
        the block's output. Batch normalisation takes the batch's own statistics, as in training.
        """
        self._model.set_weights(weights)
        gradients, scales = self._measure()
        measured = {
            "gradient_norm": self._norms(gradients),
            "weight_norm": self._norms([np.asarray(one) for one in self._trained]),
            "activation_scale": scales,
        }
        return {
            f"{what}/{name}": float(found[name])
            for what, found in measured.items()
            for name in self._blocks
        }

    def _norms(self, arrays: Sequence[Any]) -> dict[str, float]:
        """Of each block's arrays taken together; `arrays` are in the order of the variables."""
        squares = dict.fromkeys(self._blocks, 0.0)
        for variable, array in zip(self._trained, arrays, strict=True):
            squares[block(variable.path)] += float(np.sum(np.square(array, dtype=np.float64)))
        return {name: math.sqrt(square) for name, square in squares.items()}


def block(name: str) -> str:
    """The block of a layer, or of a variable by its path: group1_block2_conv1 → group1_block2."""
    return str(BLOCK.findall(name)[0])


def _tensorflow(probe: keras.Model, images_nhwc: Bytes, objective: Callable[..., Any]) -> Measure:
    import tensorflow as tf

    images = tf.constant(images_nhwc)

    def measure() -> Any:
        with tf.GradientTape() as tape:
            loss, scales = objective(probe(images, training=True))
        return tape.gradient(loss, [one.value for one in probe.trainable_variables]), scales

    compiled: Measure = tf.function(measure, autograph=False)
    return compiled


def _jax(probe: keras.Model, images_nhwc: Bytes, objective: Callable[..., Any]) -> Measure:
    import jax

    def loss(trained: Any, moving: Any, images: Any) -> Any:
        outputs, _ = probe.stateless_call(trained, moving, images, training=True)
        return objective(outputs)

    gradients = jax.jit(jax.grad(loss, has_aux=True))
    variables = probe.trainable_variables, probe.non_trainable_variables

    def measure() -> Any:
        return gradients(*([one.value for one in some] for some in variables), images_nhwc)

    return measure
