"""Scores against hand-made predictions, SciPy and Keras."""

import numpy as np
import pytest
from scipy.stats import binomtest

from resnet.evaluation.records import Predictions
from resnet.evaluation.score import (
    Scores,
    calibration,
    calibration_error,
    cross_entropy,
    per_class,
    score,
    top_k_accuracy,
    wilson,
)

CLASSES = ("cat", "dog", "frog")


def predictions() -> Predictions:
    """Six images of three classes; no image is predicted to be a frog."""
    return Predictions(
        labels_n=np.array([0, 0, 0, 1, 1, 2], np.uint8),
        probabilities_nk=np.array(
            [
                [0.8, 0.1, 0.1],
                [0.6, 0.3, 0.1],
                [0.3, 0.6, 0.1],
                [0.1, 0.8, 0.1],
                [0.7, 0.1, 0.2],
                [0.6, 0.1, 0.3],
            ],
            np.float32,
        ),
    )


def scored() -> Scores:
    return score(predictions(), CLASSES, bins=10)


def test_accuracy_is_the_share_of_correct_images() -> None:
    assert (scored().correct, scored().images, scored().accuracy) == (3, 6, 0.5)


@pytest.mark.parametrize(("correct", "images"), [(0, 10), (10, 10), (7, 10), (9123, 10000)])
def test_the_interval_is_scipys_wilson_interval(correct: int, images: int) -> None:
    expected = binomtest(correct, images).proportion_ci(method="wilson")
    assert wilson(correct, images) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_confusion_has_actual_classes_in_rows_and_predicted_ones_in_columns() -> None:
    assert scored().confusion_kk.tolist() == [[2, 1, 0], [1, 1, 0], [1, 0, 0]]


def test_each_class_has_its_precision_recall_and_f1() -> None:
    table = scored().per_class.set_index("class")
    assert list(table[["precision", "recall", "f1"]].loc["cat"]) == pytest.approx(
        [2 / 4, 2 / 3, 4 / 7]
    )
    assert table["images"].tolist() == [3, 2, 1]


def test_the_recall_of_each_class_has_its_interval() -> None:
    table = scored().per_class.set_index("class")
    assert list(table[["recall_low", "recall_high"]].loc["cat"]) == pytest.approx(wilson(2, 3))
    without = per_class(np.array([[2, 0], [0, 0]]), ["cat", "dog"]).set_index("class")
    assert list(without[["recall", "recall_low", "recall_high"]].loc["dog"]) == [0, 0, 1]


def test_a_class_that_is_never_predicted_has_precision_0() -> None:
    table = scored().per_class.set_index("class")
    assert list(table[["predicted", "precision", "recall", "f1"]].loc["frog"]) == [0, 0, 0, 0]


def test_loss_is_the_mean_negative_logarithm_of_the_labels_probability() -> None:
    expected = -np.log([0.8, 0.6, 0.3, 0.8, 0.1, 0.3]).mean()
    assert cross_entropy(predictions()) == pytest.approx(expected, rel=1e-6)


def test_a_probability_of_zero_gives_a_finite_loss() -> None:
    sure = Predictions(np.array([1], np.uint8), np.array([[1, 0]], np.float32))
    assert cross_entropy(sure) == pytest.approx(-np.log(1e-7), rel=1e-6)


def test_top2_counts_a_label_that_is_second() -> None:
    assert top_k_accuracy(predictions(), 1) == 3 / 6
    assert top_k_accuracy(predictions(), 2) == 5 / 6


def test_calibration_error_weights_the_gap_of_each_bin_with_its_images() -> None:
    # 0.6 three times (one correct), 0.7 once (wrong), 0.8 twice (both correct)
    error = (3 * abs(1 / 3 - 0.6) + 1 * 0.7 + 2 * 0.2) / 6
    assert scored().calibration_error == pytest.approx(error, rel=1e-6)


def test_empty_bins_of_confidence_are_left_out() -> None:
    assert scored().reliability["images"].sum() == 6
    assert (scored().reliability["images"] > 0).all()


def test_a_model_whose_accuracy_is_its_confidence_has_no_calibration_error() -> None:
    labels = np.array([0, 0, 0, 1], np.uint8)
    honest = Predictions(labels, np.tile(np.array([0.75, 0.25], np.float32), (4, 1)))
    assert calibration_error(calibration(honest, 15)) == 0


@pytest.mark.parametrize("bins", [1, 2, 15])
def test_a_confidence_of_one_falls_into_the_last_bin(bins: int) -> None:
    sure = Predictions(np.array([0], np.uint8), np.array([[1, 0]], np.float32))
    assert calibration(sure, bins)["high"].tolist() == [1.0]
