from typing import Any

import keras
import numpy as np
import pytest

from resnet import params
from resnet.errors import PipelineError
from resnet.forms.data_spec import DataSpec
from resnet.model import model_file
from resnet.nets import whitening
from resnet.nets.build import build, calibrated, logits_of, published, whiten
from resnet.params import Net
from tests.support import REPOSITORY

DATA = DataSpec("image", (32, 32, 3), [125.0, 123.0, 114.0], [63.0, 62.0, 67.0], classes=10)


def he(depth: int, shortcut: str = "A", block: str = "basic") -> Net:
    """A network of He et al. 2015, section 4.2."""
    return Net.model_validate(
        {
            "block": block,
            "shortcut": shortcut,
            "depth": depth,
            "widths": (16, 32, 64),
            "stem": "convolution",
            "stem_stride": 1,
            "activation": "relu",
            "views": 1,
        }
    )


def pooled(shortcut: str = "A", stem: str = "whitening", depth: int = 8) -> Net:
    """A small network of the pooled family."""
    return Net.model_validate(
        {
            "block": "pooled",
            "shortcut": shortcut,
            "depth": depth,
            "widths": (32, 40, 48),
            "stem": stem,
            "stem_stride": 1,
            "activation": "silu",
            "views": 1,
        }
    )


def trainable(net: Net) -> int:
    return sum(int(np.prod(v.shape)) for v in build(net, DATA).trainable_variables)


def random_images(count: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)


def test_resnet20_with_option_a_has_269722_trainable_parameters() -> None:
    assert trainable(he(20)) == 269_722


@pytest.mark.parametrize(
    ("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)]
)
def test_parameters_are_those_of_table_6(depth: int, millions: float) -> None:
    digits = 1 if millions > 1 else 2
    assert round(trainable(he(depth)) / 1e6, digits) == millions


def test_the_plain_twin_has_the_parameters_of_option_a() -> None:
    assert trainable(he(20, "none")) == trainable(he(20, "A"))


def test_a_projection_adds_one_kernel_and_its_normalisation_for_each_change_of_width() -> None:
    kernels = 16 * 32 + 32 * 64
    assert trainable(he(20, "B")) == trainable(he(20, "A")) + kernels + 2 * (32 + 64)
    assert trainable(he(20, "B", "preactivation")) == trainable(he(20, "A", "preactivation")) + (
        kernels
    )


def test_the_plain_twin_adds_nothing_and_the_residual_net_once_per_block() -> None:
    def additions(net: Net) -> int:
        layers = build(net, DATA).layers
        return sum(isinstance(layer, keras.layers.Add) for layer in layers)

    assert additions(he(20, "none")) == 0
    assert additions(he(20, "A")) == 9


@pytest.mark.parametrize("block", ["basic", "preactivation"])
@pytest.mark.parametrize("shortcut", ["A", "B", "none"])
def test_raw_images_become_ten_logits(block: str, shortcut: str) -> None:
    logits = build(he(8, shortcut, block), DATA)(random_images(2))
    assert logits.shape == (2, 10)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("shape", [(50, 37, 1), (37, 50, 3), (33, 33, 2)])
@pytest.mark.parametrize("stem_stride", [1, 2])
@pytest.mark.parametrize("shortcut", ["A", "B"])
@pytest.mark.parametrize("block", ["basic", "preactivation", "pooled"])
def test_samples_of_any_size_become_logits(
    shape: tuple[int, ...], stem_stride: int, shortcut: str, block: str
) -> None:
    if block == "pooled" and shortcut == "B":
        return
    net = (he(8, shortcut, block) if block != "pooled" else pooled()).model_copy(
        update={"stem_stride": stem_stride}
    )
    data = DataSpec("image", shape, [125.0] * shape[-1], [60.0] * shape[-1], classes=3)
    images = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    assert np.isfinite(build(net, data)(images, training=False)).all()


def test_the_article_net_is_a_stem_one_block_and_ten_logits() -> None:
    article = params.check(params.merge(params.read(REPOSITORY), REPOSITORY, "article", [])).net
    model = build(article, DATA)
    kernels = [weight.shape for weight in model.weights if weight.path.endswith("kernel")]
    assert kernels == [(3, 3, 3, 64), (3, 3, 64, 64), (3, 3, 64, 64), (64, 10)]


def test_two_builds_have_the_same_architecture_and_weights() -> None:
    first, second = (build(he(8, "B"), DATA, seed=3) for _ in range(2))
    assert first.to_json() == second.to_json()
    for pair in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(*pair)


def test_another_seed_draws_other_kernels_in_the_same_architecture() -> None:
    first, second = (build(he(8), DATA, seed=seed) for seed in (0, 1))
    assert first.to_json() == second.to_json()
    assert not np.array_equal(first.get_weights()[0], second.get_weights()[0])


def test_kernels_are_drawn_with_variance_two_over_inputs() -> None:
    model = build(he(20), DATA)
    kernel = model.get_layer("group3_block3_conv2").get_weights()[0]
    assert kernel.std() == pytest.approx(np.sqrt(2 / (3 * 3 * 64)), rel=0.02)
    assert abs(kernel.mean()) < 0.001


def test_the_first_layer_standardises_with_the_given_mean_and_deviation() -> None:
    standardize = build(he(8), DATA).get_layer("standardize")
    images = random_images(2)
    np.testing.assert_allclose(
        standardize(images), (images - np.array(DATA.mean)) / np.array(DATA.deviation), atol=1e-5
    )


def test_the_published_form_returns_the_softmax_of_the_logits() -> None:
    model = build(he(8), DATA, seed=5)
    images = random_images(4)
    probabilities = published(he(8), DATA, model.get_weights())(images)
    np.testing.assert_allclose(probabilities, keras.ops.softmax(model(images)), atol=1e-6)


def test_more_groups_than_an_image_can_be_halved_are_refused() -> None:
    net = he(20).model_copy(update={"depth": 14, "widths": (4,) * 6, "stem_stride": 2})
    with pytest.raises(PipelineError, match="take fewer groups"):
        build(net, DATA)


@pytest.mark.parametrize("shortcut", ["A", "none"])
@pytest.mark.parametrize("stem", ["whitening", "convolution"])
def test_a_pooled_net_returns_ten_logits(shortcut: str, stem: str) -> None:
    logits = build(pooled(shortcut, stem), DATA)(random_images(2))
    assert logits.shape == (2, 10)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("depth", [8, 14])
def test_a_pooled_net_s_depth_counts_its_convolutions_and_its_linear_layer(depth: int) -> None:
    model = build(pooled(depth=depth), DATA)
    assert len([weight for weight in model.weights if weight.path.endswith("/kernel")]) == depth


def test_a_pooled_net_s_convolutions_are_the_identity_at_first() -> None:
    kernel = build(pooled(), DATA).get_layer("group2_transition_conv").get_weights()[0]
    maps = np.random.default_rng(0).standard_normal((2, 6, 6, 32)).astype(np.float32)
    outputs = keras.ops.conv(maps, kernel, padding="same")
    assert outputs.shape[-1] == 40
    np.testing.assert_allclose(outputs[..., :32], maps, atol=1e-6)
    assert np.std(kernel[..., 32:]) == pytest.approx(np.sqrt(2 / (9 * 32)), rel=0.1)


def test_a_whitening_stem_decorrelates_the_patches_and_is_not_trained() -> None:
    model = build(pooled(), DATA)
    smooth = np.random.default_rng(0).integers(0, 128, (300, 33, 33, 3), np.uint8)
    images = smooth[:, 1:, 1:] + smooth[:, :-1, :-1]  # neighbours are correlated
    whiten(model, images)
    stem = model.get_layer("stem_whitening")
    assert not stem.trainable_variables
    patches = np.asarray(stem(model.get_layer("standardize")(images))).reshape(-1, 24)
    moments = patches.T @ patches / len(patches)
    np.testing.assert_allclose(moments[:12, :12], np.eye(12), atol=0.05)
    np.testing.assert_allclose(patches[:, 12:], -patches[:, :12], atol=1e-6)


def test_whitening_twice_gives_the_same_kernel() -> None:
    first, second = (
        whitening.kernel(random_images(50), DATA.mean, DATA.deviation) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_a_model_with_two_views_averages_the_logits_of_an_image_and_its_mirror_image() -> None:
    net = pooled()
    model = build(net, DATA, seed=5)
    whiten(model, random_images(50))
    images = random_images(4)
    mirrored = published(net.model_copy(update={"views": 2}), DATA, model.get_weights())
    views = [np.asarray(model(view)) for view in (images, images[:, :, ::-1])]
    assert not np.allclose(views[0], views[1], atol=1e-3)
    expected = keras.ops.softmax(sum(views) / 2)
    np.testing.assert_allclose(mirrored(images), expected, atol=1e-5)
    np.testing.assert_allclose(mirrored(images[:, :, ::-1]), expected, atol=1e-5)
    assert mirrored.count_params() == model.count_params()


def test_a_model_with_six_views_averages_the_logits_of_shifted_images_too() -> None:
    net = pooled()
    model = build(net, DATA, seed=5)
    whiten(model, random_images(50))
    images = random_images(4)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    shifted = images, padded[:, :32, :32], padded[:, 2:, 2:]
    views = [np.asarray(model(view)) for image in shifted for view in (image, image[:, :, ::-1])]
    expected = keras.ops.softmax(sum(views) / 6)
    six = published(net.model_copy(update={"views": 6}), DATA, model.get_weights())
    np.testing.assert_allclose(six(images), expected, atol=1e-5)


@pytest.mark.parametrize(("views", "operations"), [(2, "flip"), (6, "pad flip flip_1 flip_2")])
def test_models_of_several_views_are_named_alike_however_many_were_built_before(
    views: int, operations: str
) -> None:
    net = pooled(stem="convolution").model_copy(update={"views": views})
    first, second = (published(net, DATA, build(net, DATA).get_weights()) for _ in range(2))
    assert model_file.model_hash(first) == model_file.model_hash(second)
    # As the first model of a process was named by earlier releases.
    layers = [operation.name for operation in first.layers]
    named = [layer["name"] for layer in first.get_config()["layers"] if layer["name"] not in layers]
    assert sorted(named) == sorted(operations.split())


@pytest.mark.parametrize("views", [1, 6])
def test_a_calibrated_model_divides_the_logits_that_it_publishes_by_the_temperature(
    views: int,
) -> None:
    net = pooled().model_copy(update={"views": views})
    model = build(net, DATA, seed=5)
    whiten(model, random_images(50))
    before = published(net, DATA, model.get_weights())
    after, images = calibrated(before, 0.25), random_images(4)
    logits = np.asarray(logits_of(before)(images))
    np.testing.assert_allclose(before(images), keras.ops.softmax(logits), atol=1e-6)
    np.testing.assert_allclose(after(images), keras.ops.softmax(logits / 0.25), atol=1e-6)
    np.testing.assert_allclose(logits_of(after)(images), logits / 0.25, rtol=1e-5)
    assert all(map(np.array_equal, after.get_weights(), model.get_weights()))
