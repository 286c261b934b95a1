"""Diagnostics of a network, block by block: its weights → norms and scales on a batch of images.

They are computed between epochs on a second network, so that no bit of the training changes. A
block is all layers whose names begin alike: stem, group1_block1, …, logits.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from resnet.forms.data_spec import DataSpec
from resnet.nets.build import build
from resnet.params import Net
from resnet.training.engines.interface import Bytes
from resnet.training.loss import cross_entropy

BLOCK = re.compile(r"group\d+(?:_block\d+)?|[a-z]+")
Measure = Callable[[], tuple[list[Any], dict[str, Any]]]


class Diagnostics:
    """Computes the diagnostics of `net`, always on the same images and in float32."""

    def __init__(self, net: Net, data: DataSpec, images_nhwc: Bytes, labels_n: Bytes) -> None:
        self._model = build(net, data)
        outputs = {block(layer.name): layer.output for layer in self._model.layers}
        weights = self._model.trainable_weights
        self._blocks = list(dict.fromkeys(block(weight.path) for weight in weights))
        network = keras.Model(self._model.input, {name: outputs[name] for name in self._blocks})
        self._trained = network.trainable_variables

        def loss_and_scales(outputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            loss = ops.mean(cross_entropy(outputs["logits"], labels_n))
            return loss, {name: ops.sqrt(ops.mean(ops.square(x))) for name, x in outputs.items()}

        compiled = {"tensorflow": _tensorflow, "jax": _jax}[keras.backend.backend()]
        self._measure: Measure = compiled(network, images_nhwc, loss_and_scales)

    def __call__(self, weights: Sequence[npt.NDArray[Any]]) -> dict[str, float]:
        """Three numbers per block; `weights` in the order of `get_weights` of `build`'s network.

        gradient_norm/BLOCK is the norm of the mean cross-entropy's gradient with respect to the
        block's weights, weight_norm/BLOCK the norm of these weights, activation_scale/BLOCK the
        root mean square of the block's output. Batch normalisation uses the batch's statistics, as
        in training.
        """
        self._model.set_weights(weights)
        gradients, scales = self._measure()
        diagnostics = {
            "gradient_norm": self._norms(gradients),
            "weight_norm": self._norms([np.asarray(variable) for variable in self._trained]),
            "activation_scale": scales,
        }
        return {
            f"{kind}/{name}": float(by_block[name])
            for kind, by_block in diagnostics.items()
            for name in self._blocks
        }

    def _norms(self, arrays: Sequence[Any]) -> dict[str, float]:
        """The norm of each block's arrays; `arrays` are in the order of the trained variables."""
        squares = dict.fromkeys(self._blocks, 0.0)
        for variable, array in zip(self._trained, arrays, strict=True):
            squares[block(variable.path)] += float(np.sum(np.square(array, dtype=np.float64)))
        return {name: math.sqrt(square) for name, square in squares.items()}


def block(name: str) -> str:
    """The block of a layer, or of a variable by its path: group1_block2_conv1 → group1_block2."""
    return str(BLOCK.findall(name)[0])


def _tensorflow(
    network: keras.Model, images_nhwc: Bytes, loss_and_scales: Callable[..., Any]
) -> Measure:
    import tensorflow as tf

    images = tf.constant(images_nhwc)

    def measure() -> Any:
        with tf.GradientTape() as tape:
            loss, scales = loss_and_scales(network(images, training=True))
        variables = [variable.value for variable in network.trainable_variables]
        return tape.gradient(loss, variables), scales

    compiled: Measure = tf.function(measure, autograph=False)
    return compiled


def _jax(network: keras.Model, images_nhwc: Bytes, loss_and_scales: Callable[..., Any]) -> Measure:
    import jax

    def loss(trained: Any, moving: Any, images: Any) -> Any:
        outputs, _ = network.stateless_call(trained, moving, images, training=True)
        return loss_and_scales(outputs)

    gradients = jax.jit(jax.grad(loss, has_aux=True))
    variables = network.trainable_variables, network.non_trainable_variables

    def measure() -> Any:
        trained, moving = ([variable.value for variable in part] for part in variables)
        return gradients(trained, moving, images_nhwc)

    return measure
