from typing import Any

import keras
import numpy as np
import pytest

from resnet.params import Optimizer
from resnet.training import optimizer

RATES = np.array([0.1, 0.01, 0.001], np.float32)


def settings(**changes: Any) -> Optimizer:
    base = {"name": "sgd", "momentum": 0.0, "nesterov": False, "weight_decay": 0.5}
    base["adam_ratio"] = 1.0  # of Muon
    return Optimizer.model_validate(base | changes)


def layer() -> Any:
    """A linear layer with kernel 2 and bias 2, the first of which alone may decay."""
    dense = keras.layers.Dense(1, name="logits")
    dense.build((None, 1))
    dense.set_weights([np.full((1, 1), 2.0), np.full(1, 2.0)])
    return dense


def stepped(settings: Optimizer, gradient: float, steps: int = 1) -> tuple[float, float]:
    """Kernel and bias after some steps with one gradient."""
    variables = layer().trainable_variables
    keras_optimizer = optimizer.create(settings, RATES, variables)
    for _ in range(steps):
        values = [variable.value for variable in variables]
        gradients = [keras.ops.full(variable.shape, gradient) for variable in variables]
        keras_optimizer.apply(optimizer.decayed(gradients, variables, values, settings))
    kernel, bias = (float(np.asarray(variable.value).ravel()[0]) for variable in variables)
    return kernel, bias


def test_step_k_is_made_at_rate_k_of_the_table() -> None:
    _, bias = stepped(settings(), 1.0, steps=3)
    assert bias == pytest.approx(2 - 0.1 - 0.01 - 0.001)


def test_the_table_s_last_rate_holds_beyond_its_end() -> None:
    _, bias = stepped(settings(), 1.0, steps=4)
    assert bias == pytest.approx(2 - 0.1 - 0.01 - 0.001 - 0.001)


def test_sgd_decays_kernels_in_the_gradient_and_nothing_else() -> None:
    assert stepped(settings(), 0.0) == pytest.approx((2 - 0.1 * 0.5 * 2, 2))


def test_momentum_carries_the_decay_on_as_in_he_et_al() -> None:
    kernel, _ = stepped(settings(momentum=0.9), 0.0, steps=2)
    first = 2 - 0.1 * 0.5 * 2
    assert kernel == pytest.approx(first + 0.9 * (first - 2) - 0.01 * 0.5 * first)


def test_adam_decays_kernels_in_the_gradient_and_so_by_its_sign() -> None:
    assert stepped(settings(name="adam"), 0.0) == pytest.approx((2 - 0.1, 2), abs=1e-4)


def test_adamw_decays_kernels_in_proportion() -> None:
    assert stepped(settings(name="adamw"), 0.0) == pytest.approx((2 - 0.1 * 0.5 * 2, 2))


def test_nesterov_looks_ahead() -> None:
    _, plain = stepped(settings(momentum=0.9), 1.0)
    _, ahead = stepped(settings(momentum=0.9, nesterov=True), 1.0)
    assert plain == pytest.approx(2 - 0.1)
    assert ahead == pytest.approx(2 - 0.1 * 1.9)
