"""Run by test_engines in a process with JAX: its quicker layers beside Keras's own."""

from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from resnet.nets.build import build
from resnet.nets.data_spec import DataSpec
from resnet.params import Net
from resnet.training.engines import jax_engine
from resnet.training.layers import jax_layers

NORMALIZATION = {"momentum": 0.9, "epsilon": 1e-5}
CONVOLUTION = {"kernel_size": 3, "padding": "same", "use_bias": False}
# A quicker class, its arguments, and the maps' sides and channels.
CASES = {
    "normalization": (jax_layers.OnePassBatchNormalization, NORMALIZATION, (6, 6, 5)),
    "no scale": (
        jax_layers.OnePassBatchNormalization,
        {**NORMALIZATION, "scale": False},
        (6, 6, 5),
    ),
    "pooling": (jax_layers.BlockMaxPooling2D, {"pool_size": 2}, (6, 6, 5)),
    "pooling odd maps": (jax_layers.BlockMaxPooling2D, {"pool_size": 2}, (7, 7, 5)),
    "4 neighbours": (jax_layers.PackedConv2D, {**CONVOLUTION, "filters": 16}, (5, 8, 16)),
    "2 neighbours": (jax_layers.PackedConv2D, {**CONVOLUTION, "filters": 32}, (5, 8, 48)),
}


def differences() -> dict[str, float]:
    """By case the greatest difference in outputs, gradients and moved weights, as a share of the
    greatest value among them."""
    return {name: compared(*case) for name, case in CASES.items()}


def of_a_great_mean() -> float:
    """The greatest difference of normalised maps whose mean is a thousand deviations, as the moving
    mean has it by then."""
    random = np.random.default_rng(0)
    maps = 1000 + random.standard_normal((4, 6, 6, 5), np.float32)
    found = []
    for kind in (jax_layers.OnePassBatchNormalization, keras.layers.BatchNormalization):
        layer = kind(**NORMALIZATION)
        layer.build(maps.shape)
        layer.moving_mean.assign(np.full(5, 999.5, np.float32))
        found.append(layer(maps, training=True))
    return float(jnp.abs(found[0] - found[1]).max())


def half() -> float:
    """How far the gradient of a kernel packed in bfloat16 is from the stock layer's, as a share."""
    random = np.random.default_rng(0)
    maps = random.standard_normal((4, 8, 8, 16), np.float32)
    kernel = random.standard_normal((3, 3, 16, 16), np.float32)
    found = []
    for kind in (jax_layers.PackedConv2D, keras.layers.Conv2D):
        inputs = keras.Input(maps.shape[1:])
        layer = kind(**CONVOLUTION, filters=16, dtype="mixed_bfloat16")
        model = keras.Model(inputs, layer(inputs))

        def loss(kernel: Any, model: Any = model) -> Any:
            outputs, _ = model.stateless_call([kernel], [], maps)
            return jnp.square(outputs.astype("float32")).sum()

        found.append(jax.jit(jax.grad(loss))(kernel))
    return float(jnp.linalg.norm(found[0] - found[1]) / jnp.linalg.norm(found[1]))


def graphed() -> float:
    """1 + 1, compiled with the options for a GPU: every JAX reads them."""
    return float(jax.jit(lambda x: x + 1).lower(1.0).compile(jax_engine.GRAPH)(1.0))


def compared(quick: Any, arguments: dict[str, Any], shape: tuple[int, ...]) -> float:
    random = np.random.default_rng(0)
    maps = 3 + 2 * random.standard_normal((4, *shape), np.float32)
    layers = [kind(**arguments) for kind in (quick, quick.__base__)]
    for layer in layers:
        layer.build(maps.shape)
    weights = [random.uniform(0.5, 2, w.shape).astype(np.float32) for w in layers[0].weights]
    found = [results(layer, weights, maps) for layer in layers]
    return max(
        float(jnp.abs(ours - stock).max() / jnp.abs(stock).max())
        for ours, stock in zip(*found, strict=True)
    )


def results(layer: Any, weights: list[Any], maps: Any) -> list[Any]:
    """What a layer makes of maps, in training and not, with gradients and moved weights."""
    layer.set_weights(weights)
    trained = [one.value for one in layer.trainable_variables]
    fixed = [one.value for one in layer.non_trainable_variables]
    call = {"training": True} if fixed else {}

    def loss(trained: Any, maps: Any) -> Any:
        outputs, moved = layer.stateless_call(trained, fixed, maps, **call)
        # Of outputs weighed differently, so that none of their gradients vanishes in the sum.
        return (outputs * jnp.sin(jnp.arange(outputs.size).reshape(outputs.shape))).sum(), (
            outputs,
            moved,
        )

    both = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    (_, (outputs, moved)), gradients = jax.jit(both)(trained, maps)
    return [outputs, layer(maps), *moved, *jax.tree.leaves(gradients)]


def exchanged(net: Net) -> dict[str, int]:
    """How many layers of `net` are trained as each of the quicker kinds, where there is a GPU."""
    before, jax_engine.on_gpu = jax_engine.on_gpu, lambda: True
    try:
        layers = build(net, DataSpec([128.0] * 3, [60.0] * 3, classes=10)).layers
        return dict(Counter(jax_engine.JaxEngine.layer_class(layer).__name__ for layer in layers))
    finally:
        jax_engine.on_gpu = before
