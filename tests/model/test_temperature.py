"""The temperature that calibrates logits, on logits whose labels were drawn from known ones."""

import numpy as np
import pytest
from numpy.typing import NDArray

from resnet.evaluation.records import Predictions
from resnet.evaluation.score import calibration, calibration_error
from resnet.model import temperature


def drawn(images: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Logits of ten classes, and labels drawn from their softmax."""
    random = np.random.default_rng(seed)
    logits_nk = random.normal(0, 2, (images, 10))
    labels_n = (softmax(logits_nk).cumsum(axis=1) > random.random((images, 1))).argmax(axis=1)
    return logits_nk, labels_n.astype(np.uint8)


def softmax(logits_nk: NDArray[np.float64]) -> NDArray[np.float64]:
    p_nk = np.exp(logits_nk - logits_nk.max(axis=1, keepdims=True))
    return p_nk / p_nk.sum(axis=1, keepdims=True)


def predictions(logits_nk: NDArray[np.float64], labels_n: NDArray[np.uint8]) -> Predictions:
    return Predictions(labels_n, softmax(logits_nk).astype(np.float32))


def test_a_known_factor_of_the_logits_is_found() -> None:
    logits_nk, labels_n = drawn(20_000, seed=0)
    honest = temperature.fit(logits_nk, labels_n)
    assert honest == pytest.approx(1, rel=0.03)
    for factor in (0.25, 0.5, 3.0):
        found = temperature.fit(factor * logits_nk, labels_n)
        assert found == pytest.approx(factor * honest, abs=1e-4)


def test_no_other_temperature_has_less_loss() -> None:
    logits_nk, labels_n = drawn(2_000, seed=1)
    best = temperature.fit(2 * logits_nk, labels_n)

    def loss(divisor: float) -> float:
        p_n = softmax(2 * logits_nk / divisor)[np.arange(len(labels_n)), labels_n]
        return float(-np.log(p_n).mean())

    assert loss(best) < min(loss(0.95 * best), loss(1.05 * best))


def test_a_temperature_from_held_out_images_calibrates_others_and_changes_no_predicted_class() -> (
    None
):
    held_out, (logits_nk, labels_n) = drawn(5_000, seed=1), drawn(5_000, seed=2)
    divisor = temperature.fit(2.5 * held_out[0], held_out[1])
    before = predictions(2.5 * logits_nk, labels_n)
    after = predictions(2.5 * logits_nk / divisor, labels_n)
    assert calibration_error(calibration(before, 15)) > 0.1
    assert calibration_error(calibration(after, 15)) < 0.03
    assert (after.predicted_n == before.predicted_n).all()


def test_images_that_are_all_classified_correctly_do_not_ask_for_certainty() -> None:
    logits_nk, _ = drawn(1_000, seed=3)
    labels_n = logits_nk.argmax(axis=1).astype(np.uint8)
    divisor = temperature.fit(logits_nk, labels_n)
    assert temperature.LEAST < divisor < 1
    assert predictions(logits_nk / divisor, labels_n).confidence_n.mean() < 0.9999


def test_a_shift_of_all_logits_of_an_image_changes_nothing() -> None:
    logits_nk, labels_n = drawn(500, seed=4)
    shifted_nk = logits_nk + np.linspace(-1e3, 1e3, 500)[:, None]
    assert temperature.fit(shifted_nk, labels_n) == temperature.fit(logits_nk, labels_n)
