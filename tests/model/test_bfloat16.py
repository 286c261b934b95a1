"""A model whose maps are computed in bfloat16."""

from typing import Any

import keras
import numpy as np
import pytest

from resnet.forms.data_spec import DataSpec
from resnet.model.bfloat16 import in_bfloat16
from resnet.model.forward import compiled
from resnet.nets.build import build, calibrated, published
from resnet.params import Net
from resnet.training.engines.base import precision

DATA = DataSpec("image", (32, 32, 3), [125.0, 123.0, 114.0], [63.0, 62.0, 67.0], classes=10)


def net(block: str, shortcut: str, stem: str = "convolution", views: int = 1) -> Net:
    shape = {"depth": 6, "widths": (4, 8), "stem_stride": 2, "activation": "silu"}
    kind = {"block": block, "shortcut": shortcut, "stem": stem, "views": views}
    return Net.model_validate({**shape, **kind})


NETS = [
    net("basic", "A"),
    net("basic", "B", "whitening"),
    net("preactivation", "none", views=2),
    net("pooled", "A", "whitening", views=6),
]
OTHER_NETS = [
    net("basic", "none"),
    net("preactivation", "A"),
    net("preactivation", "B"),
    net("pooled", "none"),
]


def layers_of(model: Any) -> dict[str, Any]:
    """Its layers by their names, and those of the models in it."""
    layers: dict[str, Any] = {}
    for layer in model.layers:
        layers |= layers_of(layer) if isinstance(layer, keras.Model) else {layer.name: layer}
    return layers


@pytest.mark.parametrize("net", NETS, ids=str)
def test_a_forward_pass_in_bfloat16_gives_nearly_the_probabilities_of_float32(net: Net) -> None:
    random = np.random.default_rng(0)
    weights = [
        random.uniform(0.5, 1.5, array.shape).astype(np.float32) if array.ndim == 1 else array
        for array in build(net, DATA).get_weights()
    ]
    model = calibrated(published(net, DATA, weights), 0.5)
    images = random.integers(0, 256, (8, 32, 32, 3), np.uint8)
    expected = np.asarray(model(images, training=False))
    half = compiled(model, "bfloat16")(images)
    assert half.dtype == np.float32
    np.testing.assert_allclose(half.sum(axis=1), 1, atol=1e-5)
    assert 0 < np.abs(half - expected).max() < 0.1


def test_the_first_and_the_last_layers_and_the_statistics_stay_float32() -> None:
    model = calibrated(published(NETS[2], DATA, build(NETS[2], DATA).get_weights()), 0.5)
    layers = layers_of(in_bfloat16(model))
    first_and_last = "standardize", "logits", "views", "temperature", "probabilities"
    computed = {name: layers[name].compute_dtype for name in (*first_and_last, "stem_conv")}
    assert computed == {**dict.fromkeys(first_and_last, "float32"), "stem_conv": "bfloat16"}
    assert layers["stem_conv"].kernel.dtype == "bfloat16"
    assert layers["head_norm"].moving_variance.dtype == "float32"


@pytest.mark.parametrize("net", [*NETS, *OTHER_NETS], ids=str)
def test_scoring_computes_in_bfloat16_what_training_does(net: Net) -> None:
    with precision("bfloat16"):
        trained = layers_of(build(net, DATA))
    scored = layers_of(in_bfloat16(build(net, DATA)))
    dtypes = [
        {name: one.compute_dtype for name, one in layers.items() if name != "images"}
        for layers in (trained, scored)
    ]
    assert dtypes[0] == dtypes[1]
