"""The statistics of a comparison, against SciPy, exact cases and simulation."""

from collections.abc import Callable
from math import comb, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from resnet import params
from resnet.errors import PipelineError
from resnet.evaluation.comparison import bootstrap, check, compare, mcnemar, recalls
from resnet.evaluation.records import Predictions

CLASSES = [f"class {k}" for k in range(10)]
Make = Callable[..., Predictions]


def predicted(labels: list[int], answers: list[int]) -> Predictions:
    return Predictions(np.array(labels, np.uint8), np.eye(3, dtype=np.float32)[answers])


def test_a_comparison_counts_the_images_that_only_one_model_classifies_correctly(
    predictions: Make,
) -> None:
    comparison = compare(predictions(8100), predictions(8000, first=300), CLASSES, 0.95)
    assert (comparison.images, comparison.gained, comparison.lost) == (10_000, 300, 200)
    assert (comparison.challenger, comparison.production) == (0.81, 0.8)
    assert comparison.difference == 0.01
    assert comparison.low < comparison.bound < comparison.difference < comparison.high
    assert comparison.p == stats.binomtest(300, 500).pvalue


def test_each_class_has_its_recall_with_both_models() -> None:
    labels = [0, 0, 0, 0, 1, 1]
    before, after = predicted(labels, [0, 0, 0, 1, 1, 0]), predicted(labels, [0, 0, 1, 1, 1, 1])
    cat, dog = compare(after, before, ["cat", "dog", "frog"], 0.95).recalls
    assert (cat.name, cat.images, cat.production, cat.challenger) == ("cat", 4, 0.75, 0.5)
    assert (dog.name, dog.images, dog.production, dog.challenger) == ("dog", 2, 0.5, 1.0)


def test_the_interval_is_scipys_bootstrap_of_the_images() -> None:
    gained, lost, images = 30, 12, 400
    change_n = np.repeat([1, -1, 0], [gained, lost, images - gained - lost])
    scipys = stats.bootstrap(
        (change_n,), np.mean, n_resamples=20_000, method="percentile", rng=0, batch=2000
    ).confidence_interval
    low, high = np.quantile(bootstrap(gained, lost, images), [0.025, 0.975])
    assert (low, high) == pytest.approx((scipys.low, scipys.high), abs=1 / images)


def test_a_resample_of_two_images_is_as_often_each_of_its_kinds_as_it_must_be() -> None:
    differences = bootstrap(1, 1, 2)
    shares = [float((differences == value).mean()) for value in (-1, 0, 1)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.015)


def test_two_equal_models_that_differ_on_7_percent_have_a_standard_error_of_a_quarter_point() -> (
    None
):
    assert bootstrap(350, 350, 10_000).std() == pytest.approx(sqrt(0.07 / 10_000), rel=0.02)


def test_a_comparison_is_the_same_every_time(predictions: Make) -> None:
    both = predictions(8100), predictions(8000, first=300)
    assert compare(*both, CLASSES, 0.95) == compare(*both, CLASSES, 0.95)


@pytest.mark.parametrize(("gained", "lost"), [(1, 5), (5, 1), (0, 4), (12, 30)])
def test_mcnemars_p_is_twice_the_tail_of_fair_coins(gained: int, lost: int) -> None:
    tail = sum(comb(gained + lost, k) for k in range(min(gained, lost) + 1))
    assert mcnemar(gained, lost) == pytest.approx(2 * tail / 2 ** (gained + lost))


@pytest.mark.parametrize("each", [0, 1, 100])
def test_models_that_gain_as_much_as_they_lose_have_p_1(each: int) -> None:
    assert mcnemar(each, each) == 1.0


def test_a_model_equals_itself(predictions: Make) -> None:
    same = compare(predictions(8000), predictions(8000), CLASSES, 0.95)
    assert (same.difference, same.low, same.bound, same.high, same.p) == (0, 0, 0, 0, 1)


def test_predictions_of_other_images_are_not_compared(predictions: Make) -> None:
    other = predictions(8000)
    moved = Predictions(np.roll(other.labels_n, 1), other.probabilities_nk)
    for wrong in (moved, predictions(80, images=100)):
        with pytest.raises(PipelineError, match="not for the same test samples"):
            compare(predictions(8000), wrong, CLASSES, 0.95)


def test_predictions_for_no_image_or_that_are_not_finite_are_refused(predictions: Make) -> None:
    check(predictions(80, images=100))
    with pytest.raises(PipelineError, match="predictions for no image"):
        check(predictions(0, images=0))
    broken = predictions(80, images=100)
    broken.probabilities_nk[[3, 4], 0] = np.nan
    with pytest.raises(PipelineError, match="for 2 of 100 test samples are not finite"):
        check(broken)


def test_a_label_without_a_name_is_refused(predictions: Make) -> None:
    with pytest.raises(PipelineError, match="labels up to 9, and there are names for 9"):
        recalls(predictions(8000), CLASSES[:9])


@pytest.mark.parametrize(("true_points", "passes"), [(0.0, 0.984), (-1.0, 0.05), (-2.0, 0.0)])
def test_a_retrain_passes_the_margin_as_often_as_the_documentation_says(
    parameters: params.Params, true_points: float, passes: float
) -> None:
    margin, images, draws = parameters.gate.margin, 10_000, 400
    shares = [0.035 + true_points / 200, 0.035 - true_points / 200]
    counts = np.random.default_rng(1).multinomial(images, [*shares, 1 - sum(shares)], draws)
    bounds = [
        np.quantile(bootstrap(b, c, images), 1 - parameters.gate.confidence) for b, c, _ in counts
    ]
    assert np.mean(np.array(bounds) >= -margin) == pytest.approx(passes, abs=0.02)
    error = sqrt(0.07 / images)
    z = NormalDist().inv_cdf(parameters.gate.confidence)
    formula = NormalDist().cdf((margin + true_points / 100) / error - z)
    assert formula == pytest.approx(passes, abs=0.005)
