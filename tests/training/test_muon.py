from typing import Any

import keras
import numpy as np
import pytest

from resnet.params import Optimizer
from resnet.training import optimizer
from resnet.training.muon import orthogonalized

RATES = np.full(3, 0.1, np.float32)
SETTINGS = Optimizer(
    name="muon",
    momentum=0.5,
    nesterov=True,
    weight_decay=0.0,
    adam_ratio=0.2,
)


def network() -> Any:
    """A convolution with an offset, and logits."""
    x = keras.Input((4, 4, 3))
    y = keras.layers.Conv2D(8, 3, name="conv")(x)
    return keras.Model(x, keras.layers.Dense(2, use_bias=False, name="logits")(y))


def stepped(gradients: Any, steps: int = 1) -> tuple[Any, Any]:
    """The weights before and after some steps with the same gradients."""
    keras.utils.set_random_seed(0)
    model = network()
    muon = optimizer.create(SETTINGS, RATES, model.trainable_variables)
    before = model.get_weights()
    for _ in range(steps):
        muon.apply([keras.ops.convert_to_tensor(gradient) for gradient in gradients])
    return before, model.get_weights()


def gradients() -> Any:
    random = np.random.default_rng(0)
    return [random.standard_normal(shape).astype(np.float32) for shape in ((3, 3, 3, 8), 8, (8, 2))]


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (8, 8)])
def test_orthogonalising_brings_singular_values_near_one_and_keeps_their_directions(
    shape: tuple[int, int],
) -> None:
    matrix = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    new = np.diag(left.T @ np.asarray(orthogonalized(matrix)) @ right.T)
    strong = values > 0.1 * np.linalg.norm(matrix)
    assert strong.sum() > 4
    assert new[strong] == pytest.approx(1, abs=0.4)
    np.testing.assert_allclose(left * new @ right, orthogonalized(matrix), atol=1e-5)


def test_the_gram_form_is_the_newton_schulz_iteration() -> None:
    x = np.random.default_rng(1).standard_normal((20, 6))
    found = orthogonalized(x.astype(np.float32))
    x /= np.linalg.norm(x)
    for _ in range(3):
        gram = x @ x.T
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    np.testing.assert_allclose(found, x, atol=1e-4)


def test_a_kernel_is_normalised_and_moves_by_the_rate_in_every_direction() -> None:
    before, after = stepped(gradients())
    unit = before[0] * np.sqrt(8) / np.linalg.norm(before[0])
    moved = np.linalg.svd((unit - after[0]).reshape(-1, 8), compute_uv=False)
    assert moved == pytest.approx(0.1, rel=0.4)


def test_a_kernel_s_step_does_not_depend_on_its_gradient_s_scale() -> None:
    kernel, *others = gradients()
    _, weights = stepped([kernel, *others])
    _, scaled = stepped([100 * kernel, *others])
    np.testing.assert_allclose(weights[0], scaled[0], atol=1e-5)


def test_offsets_take_adam_s_step_and_logits_that_step_divided_by_their_inputs() -> None:
    before, after = stepped(gradients(), steps=2)
    for number, inputs in ((1, 1), (2, 8)):
        step = 2 * 0.1 * 0.2 / inputs * np.sign(gradients()[number])
        np.testing.assert_allclose(before[number] - after[number], step, rtol=1e-3)


def test_the_state_is_in_the_optimizer_s_variables() -> None:
    muon = optimizer.create(SETTINGS, RATES, network().trainable_variables)
    shapes = [tuple(variable.shape) for variable in muon.variables if len(variable.shape)]
    assert sorted(shapes) == sorted([(3, 3, 3, 8), (8,), (8,), (8, 2), (8, 2)])
