from typing import Any

import numpy as np
import pytest

from resnet.params import Schedule
from resnet.training.schedule import rates


def schedule(name: str, **changes: Any) -> Schedule:
    base = {"name": name, "peak": 0.4, "warmup": 0.25, "boundaries": (0.5, 0.75), "factor": 10}
    return Schedule.model_validate(base | changes)


def test_piecewise_is_the_paper_s_rate_at_32000_and_48000_steps() -> None:
    table = rates(schedule("piecewise", peak=0.1, warmup=0.0), 64_000)
    edges = [0, 31_999, 32_000, 47_999, 48_000, 63_999]
    np.testing.assert_allclose(table[edges], [0.1, 0.1, 0.01, 0.01, 0.001, 0.001], rtol=1e-6)


def test_piecewise_without_boundaries_is_constant() -> None:
    np.testing.assert_allclose(rates(schedule("piecewise", warmup=0, boundaries=()), 9), 0.4)


@pytest.mark.parametrize("name", ["piecewise", "cosine", "one-cycle"])
def test_the_rate_rises_in_a_straight_line_to_its_peak(name: str) -> None:
    table = rates(schedule(name), 40)
    np.testing.assert_allclose(table[:10], 0.4 * np.arange(1, 11) / 10, rtol=1e-6)
    assert table.max() == np.float32(0.4)


@pytest.mark.parametrize("name", ["cosine", "one-cycle"])
def test_the_rate_falls_from_its_peak_towards_zero(name: str) -> None:
    table = rates(schedule(name), 40)[9:]
    assert (np.diff(table[1:]) < 0).all()
    assert 0 < table[-1] < 0.05 * 0.4


def test_halfway_down_both_falling_schedules_are_at_half_the_peak() -> None:
    for name in ("cosine", "one-cycle"):
        assert rates(schedule(name, warmup=0.0), 100)[50] == pytest.approx(0.2)


def test_there_is_one_rate_per_step_as_float32() -> None:
    table = rates(schedule("one-cycle"), 7)
    assert table.shape == (7,)
    assert table.dtype == np.float32
