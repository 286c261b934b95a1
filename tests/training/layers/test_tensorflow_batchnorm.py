from typing import Any

import keras
import numpy as np
import pytest

from resnet.training.layers.tensorflow_batchnorm import FusedBatchNormalization

ARGUMENTS = {"momentum": 0.9, "epsilon": 1e-5}


def maps(seed: int = 0) -> Any:
    return 3 + 2 * np.random.default_rng(seed).standard_normal((4, 6, 6, 5)).astype(np.float32)


def layers(scale: bool = True) -> tuple[Any, Any]:
    """The fused layer and Keras's own, with the same random weights."""
    arguments = {**ARGUMENTS, "scale": scale}
    fused = FusedBatchNormalization(**arguments)
    stock = keras.layers.BatchNormalization(**arguments)
    random = np.random.default_rng(1)
    weights = [random.uniform(0.5, 2, 5).astype(np.float32) for _ in range(3 + scale)]
    for layer in (fused, stock):
        layer.build((None, 6, 6, 5))
        layer.set_weights(weights)
    return fused, stock


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_the_fused_layer_has_the_outputs_of_keras_s_own(training: bool, scale: bool) -> None:
    fused, stock = layers(scale)
    np.testing.assert_allclose(
        fused(maps(), training=training), stock(maps(), training=training), rtol=1e-4, atol=1e-5
    )


def test_the_fused_layer_updates_its_moving_statistics_as_keras_does() -> None:
    fused, stock = layers()
    before = stock.get_weights()[2:]
    for seed in range(3):
        fused(maps(seed), training=True)
        stock(maps(seed), training=True)
    for updated, expected, old in zip(
        fused.get_weights()[2:], stock.get_weights()[2:], before, strict=True
    ):
        np.testing.assert_allclose(updated, expected, rtol=1e-5)
        assert not np.allclose(expected, old)


def test_inference_changes_no_weight() -> None:
    fused, _ = layers()
    before = fused.get_weights()
    fused(maps(), training=False)
    np.testing.assert_array_equal(fused.get_weights(), before)
