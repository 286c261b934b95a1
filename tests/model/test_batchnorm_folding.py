"""Batch normalisation folded into convolutions."""

from typing import Any

import keras
import numpy as np
import pytest

from resnet.forms.data_spec import DataSpec
from resnet.model.batchnorm_folding import folded
from resnet.nets.build import build, published
from resnet.params import Net

DATA = DataSpec("image", (32, 32, 3), [125.0, 123.0, 114.0], [63.0, 62.0, 67.0], classes=10)


def trained(block: Any, shortcut: Any, views: Any = 1) -> Any:
    """A published network whose normalisations do not have their initial values."""
    net = Net(
        block=block,
        shortcut=shortcut,
        depth=10,
        widths=(8, 16),
        stem="convolution",
        stem_stride=1,
        activation="relu",
        views=views,
    )
    random = np.random.default_rng(0)
    weights = [
        random.uniform(0.5, 2, array.shape).astype(np.float32) if array.ndim == 1 else array
        for array in build(net, DATA).get_weights()
    ]
    return published(net, DATA, weights)


def normalisations(model: Any) -> list[str]:
    kind = keras.layers.BatchNormalization
    return [layer.name for layer in model.layers if isinstance(layer, kind)]


@pytest.fixture(scope="module")
def images() -> Any:
    return np.random.default_rng(1).integers(0, 256, (16, 32, 32, 3), np.uint8)


@pytest.mark.parametrize(
    ("block", "shortcut", "views"),
    [
        ("basic", "A", 1),
        ("basic", "B", 1),
        ("preactivation", "A", 1),
        ("preactivation", "B", 1),
        ("pooled", "A", 1),
        ("pooled", "A", 6),
    ],
)
def test_folding_changes_probabilities_by_rounding_only(
    block: str, shortcut: str, views: int, images: Any
) -> None:
    model = trained(block, shortcut, views)
    expected = np.asarray(model(images, training=False))
    assert expected.std() > 0.01
    np.testing.assert_allclose(np.asarray(folded(model)(images)), expected, atol=1e-5)


def test_all_normalisations_of_the_basic_network_are_folded() -> None:
    assert normalisations(folded(trained("basic", "B"))) == []


def test_a_network_within_a_model_is_folded_too() -> None:
    inner = folded(trained("basic", "A", views=2)).get_layer("resnet")
    assert normalisations(inner) == []


def test_a_normalisation_of_a_sum_stays() -> None:
    remaining = normalisations(folded(trained("preactivation", "A")))
    assert "head_norm" in remaining
    assert "group1_block1_norm2" not in remaining


def test_the_normalisation_of_a_convolution_that_two_layers_use_stays() -> None:
    x = keras.Input((4, 4, 1))
    maps = keras.layers.Conv2D(2, 3, use_bias=False)(x)
    model = keras.Model(x, [maps, keras.layers.BatchNormalization()(maps)])
    assert len(normalisations(folded(model))) == 1


def test_the_model_itself_is_not_changed() -> None:
    model = trained("basic", "A")
    before = [np.array(array) for array in model.get_weights()]
    folded(model)
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


def small(layers: Any) -> tuple[Any, Any]:
    """A model of `layers`, on images (N, 8, 8, 2), whose normalisations are trained; and images."""
    x = keras.Input((8, 8, 2))
    model = keras.Model(x, layers(x))
    random = np.random.default_rng(2)
    model.set_weights(
        [
            random.uniform(0.5, 2, array.shape) if array.ndim == 1 else array
            for array in model.get_weights()
        ]
    )
    return model, random.normal(size=(3, 8, 8, 2)).astype(np.float32)


def convolution(**settings: Any) -> Any:
    return keras.layers.Conv2D(2, 3, padding="same", use_bias=False, **settings)


def normalisation(**settings: Any) -> Any:
    return keras.layers.BatchNormalization(**settings)


def shared_convolution(x: Any) -> list[Any]:
    shared = convolution()
    maps = normalisation()(shared(x))
    return [maps, shared(maps)]


def shared_normalisation(x: Any) -> list[Any]:
    shared = normalisation()
    return [shared(convolution()(x)), shared(x)]


def maps_for_a_model_within(x: Any) -> list[Any]:
    y = keras.Input((8, 8, 2))
    maps = convolution()(x)
    return [normalisation()(maps), keras.Model(y, keras.layers.ReLU()(y))(maps)]


def pooled_maps_for_two_layers(x: Any) -> list[Any]:
    maps = keras.layers.MaxPooling2D(2)(convolution()(x))
    return [normalisation()(maps), keras.layers.ReLU()(maps)]


def rows_and_channels_pooled(x: Any) -> Any:
    """With "channels_first" a pool takes its maxima over the last two axes."""
    maps = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(x)
    pooled = keras.layers.MaxPooling2D((1, 2), data_format="channels_first")(maps)
    return keras.layers.BatchNormalization()(pooled)


def normalised_rows(x: Any) -> Any:
    return keras.layers.BatchNormalization(axis=1)(keras.layers.Conv2D(8, 3, padding="same")(x))


def an_operation(x: Any) -> Any:
    return normalisation()(keras.ops.flip(convolution()(x), axis=2))


def activated_first(x: Any) -> Any:
    return normalisation()(convolution(activation="relu")(x))


@pytest.mark.parametrize(
    "layers",
    [
        shared_convolution,
        shared_normalisation,
        maps_for_a_model_within,
        pooled_maps_for_two_layers,
        rows_and_channels_pooled,
        normalised_rows,
        an_operation,
        activated_first,
    ],
)
def test_what_cannot_be_folded_stays_and_the_outputs_are_the_same(layers: Any) -> None:
    model, images = small(layers)
    copy = folded(model)
    assert normalisations(copy) == normalisations(model)
    for output, expected in zip(
        *map(keras.tree.flatten, (copy(images), model(images))), strict=True
    ):
        np.testing.assert_allclose(output, expected, atol=1e-5)


def test_a_convolution_that_another_model_calls_too_is_folded() -> None:
    shared = convolution()
    shared(keras.Input((8, 8, 2)))  # its first call is not the model's
    model, images = small(lambda x: normalisation()(shared(x)))
    copy = folded(model)
    assert normalisations(copy) == []
    np.testing.assert_allclose(copy(images), model(images), atol=1e-5)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_a_normalisation_after_max_pooling_is_folded_where_no_scale_is_negative(
    padding: str,
) -> None:
    def layers(x: Any) -> Any:
        pool = keras.layers.MaxPooling2D(3, strides=2, padding=padding)
        return normalisation(name="norm")(pool(convolution()(x)))

    model, images = small(layers)
    assert normalisations(folded(model)) == []
    np.testing.assert_allclose(folded(model)(images), model(images), atol=1e-5)
    model.get_layer("norm").gamma.assign([1.5, -0.5])
    assert normalisations(folded(model)) == ["norm"]
    np.testing.assert_allclose(folded(model)(images), model(images), atol=1e-5)


def test_all_normalisations_of_the_pooled_network_are_folded() -> None:
    assert normalisations(folded(trained("pooled", "A"))) == []
