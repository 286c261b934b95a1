from typing import Any

import numpy as np
import pytest

from resnet.training.loss import correct, cross_entropy


def logits() -> Any:
    return np.random.default_rng(0).standard_normal((4, 10)).astype(np.float32)


LABELS = np.array([3, 0, 9, 3], np.uint8)


def log_probabilities() -> Any:
    return logits() - np.log(np.exp(logits()).sum(axis=1, keepdims=True))


def test_without_smoothing_the_loss_is_minus_the_label_s_log_probability() -> None:
    wanted = -log_probabilities()[range(4), LABELS]
    np.testing.assert_allclose(cross_entropy(logits(), LABELS), wanted, rtol=1e-5)


def test_smoothing_gives_every_class_its_share_of_the_target() -> None:
    target = 0.9 * np.eye(10)[LABELS] + 0.01
    wanted = -(target * log_probabilities()).sum(axis=1)
    np.testing.assert_allclose(cross_entropy(logits(), LABELS, 0.1), wanted, rtol=1e-5)


def test_huge_logits_give_a_finite_loss() -> None:
    assert np.isfinite(cross_entropy(logits() * 1e4, LABELS)).all()


def test_an_image_counts_when_its_label_has_the_greatest_logit() -> None:
    labels = logits().argmax(axis=1).astype(np.uint8)
    labels[1] = (labels[1] + 1) % 10
    assert np.asarray(correct(logits(), labels)).tolist() == pytest.approx([1, 0, 1, 1])
