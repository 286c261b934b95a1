"""Run by test_engines in a process with JAX: its faster layers compared with Keras's own."""

from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from resnet.forms.data_spec import DataSpec
from resnet.nets.build import build
from resnet.params import Net
from resnet.training.engines import jax_engine
from resnet.training.layers import jax_layers

NORMALIZATION = {"momentum": 0.9, "epsilon": 1e-5}
CONVOLUTION = {"kernel_size": 3, "padding": "same", "use_bias": False}
# The faster class, its arguments, and the maps' sides and channels.
CASES: dict[str, tuple[Any, Any, Any]] = {
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
    """By case the greatest difference in outputs, gradients and updated weights, as a share of the
    greatest value among them."""
    return {name: difference(*case) for name, case in CASES.items()}


def difference_with_a_large_mean() -> float:
    """The greatest difference of normalised maps whose mean is a thousand deviations, which the
    moving mean has learned."""
    random = np.random.default_rng(0)
    maps = 1000 + random.standard_normal((4, 6, 6, 5), np.float32)
    outputs = []
    for layer_class in (jax_layers.OnePassBatchNormalization, keras.layers.BatchNormalization):
        layer = layer_class(**NORMALIZATION)
        layer.build(maps.shape)
        layer.moving_mean.assign(np.full(5, 999.5, np.float32))
        outputs.append(layer(maps, training=True))
    return float(jnp.abs(outputs[0] - outputs[1]).max())


def gradient_difference_in_bfloat16() -> float:
    """The relative difference of a packed kernel's gradient in bfloat16 from the stock layer's."""
    random = np.random.default_rng(0)
    maps = random.standard_normal((4, 8, 8, 16), np.float32)
    kernel = random.standard_normal((3, 3, 16, 16), np.float32)
    gradients = []
    for layer_class in (jax_layers.PackedConv2D, keras.layers.Conv2D):
        inputs = keras.Input(maps.shape[1:])
        layer = layer_class(**CONVOLUTION, filters=16, dtype="mixed_bfloat16")
        model = keras.Model(inputs, layer(inputs))

        def loss(kernel: Any, model: Any = model) -> Any:
            outputs, _ = model.stateless_call([kernel], [], maps)
            return jnp.square(outputs.astype("float32")).sum()

        gradients.append(jax.jit(jax.grad(loss))(kernel))
    packed, stock = gradients
    return float(jnp.linalg.norm(packed - stock) / jnp.linalg.norm(stock))


def compiled_with_gpu_options() -> float:
    """1 + 1, compiled with the options for a GPU, which JAX reads on every device."""
    return float(jax.jit(lambda x: x + 1).lower(1.0).compile(jax_engine.CUDA_GRAPH)(1.0))


def difference(fast_class: Any, arguments: dict[str, Any], shape: tuple[int, ...]) -> float:
    random = np.random.default_rng(0)
    maps = 3 + 2 * random.standard_normal((4, *shape), np.float32)
    layers = [layer_class(**arguments) for layer_class in (fast_class, fast_class.__base__)]
    for layer in layers:
        layer.build(maps.shape)
    weights = [random.uniform(0.5, 2, w.shape).astype(np.float32) for w in layers[0].weights]
    fast_and_stock = [results(layer, weights, maps) for layer in layers]
    return max(
        float(jnp.abs(fast - stock).max() / jnp.abs(stock).max())
        for fast, stock in zip(*fast_and_stock, strict=True)
    )


def results(layer: Any, weights: list[Any], maps: Any) -> list[Any]:
    """A layer's outputs, in training and inference, with gradients and updated weights."""
    layer.set_weights(weights)
    trained = [variable.value for variable in layer.trainable_variables]
    moving = [variable.value for variable in layer.non_trainable_variables]
    call = {"training": True} if moving else {}

    def loss(trained: Any, maps: Any) -> Any:
        outputs, updated = layer.stateless_call(trained, moving, maps, **call)
        # Each output has another factor, so that no gradient vanishes in the sum.
        factors = jnp.sin(jnp.arange(outputs.size).reshape(outputs.shape))
        return (outputs * factors).sum(), (outputs, updated)

    loss_and_gradients = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    (_, (outputs, updated)), gradients = jax.jit(loss_and_gradients)(trained, maps)
    return [outputs, layer(maps), *updated, *jax.tree.leaves(gradients)]


def layer_classes(net: Net) -> dict[str, int]:
    """How many layers of `net` are trained as each class on a GPU."""
    before, jax_engine.on_gpu = jax_engine.on_gpu, lambda: True
    try:
        layers = build(
            net, DataSpec("image", (32, 32, 3), [128.0] * 3, [60.0] * 3, classes=10)
        ).layers
        return dict(Counter(jax_engine.JaxEngine.layer_class(layer).__name__ for layer in layers))
    finally:
        jax_engine.on_gpu = before
