"""Brightness, contrast and histograms of images whose numbers are known."""

import numpy as np
import pytest

from resnet.errors import PipelineError
from resnet.forms.histogram import Bins, Histogram
from resnet.forms.image import statistics
from resnet.forms.statistics import histograms

NOISE = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), np.uint8)


def filled(*colour: int) -> np.ndarray:
    return np.full((1, 32, 32, 3), colour, np.uint8)


@pytest.mark.parametrize(
    ("image", "luma"),
    [
        (filled(0, 0, 0), 0),
        (filled(255, 255, 255), 255),
        (filled(255, 0, 0), 76.245),
        (filled(0, 255, 0), 149.685),
        (filled(0, 0, 255), 29.07),
    ],
)
def test_an_image_of_one_colour_has_its_luma_and_no_contrast(
    image: np.ndarray, luma: float
) -> None:
    brightness_n, contrast_n = statistics.brightness_and_contrast(image)
    assert brightness_n.tolist() == [luma]
    assert contrast_n.tolist() == [0]


def test_half_black_and_half_white_has_the_greatest_contrast() -> None:
    image = filled(0, 0, 0)
    image[:, 16:] = 255
    brightness_n, contrast_n = statistics.brightness_and_contrast(image)
    assert (brightness_n.tolist(), contrast_n.tolist()) == ([127.5], [127.5])


def test_the_moments_are_those_of_the_luma_in_floating_point() -> None:
    luma = NOISE @ np.array([0.299, 0.587, 0.114])
    brightness_n, contrast_n = statistics.brightness_and_contrast(NOISE)
    assert brightness_n == pytest.approx(luma.mean((1, 2)), rel=1e-12)
    assert contrast_n == pytest.approx(luma.std((1, 2)), rel=1e-9)


def test_a_grey_image_is_as_bright_as_its_values() -> None:
    brightness_n, contrast_n = statistics.brightness_and_contrast(NOISE[..., :1])
    assert brightness_n == pytest.approx(NOISE[..., 0].mean((1, 2)), rel=1e-12)
    assert contrast_n == pytest.approx(NOISE[..., 0].std((1, 2)), rel=1e-9)


def test_the_statistics_do_not_depend_on_the_size_of_the_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = histograms("image", NOISE)
    monkeypatch.setattr(statistics, "PART", 2)
    assert histograms("image", NOISE) == whole


def test_every_number_has_a_bin_even_at_both_ends() -> None:
    histogram = Histogram.of(np.array([0, 0.9, 1, 2]), Bins(1, 2))
    assert histogram == Histogram(0.975, 1, (2, 2))
    assert histogram.size == 4


def test_pooled_histograms_of_parts_are_that_of_the_whole() -> None:
    numbers_n = np.random.default_rng(0).uniform(0, 10, 1000)
    parts = [Histogram.of(part, Bins(1, 10)) for part in (numbers_n[:1], numbers_n[1:])]
    whole, pooled = Histogram.of(numbers_n, Bins(1, 10)), Histogram.pooled(parts)
    assert pooled.counts == whole.counts
    assert pooled.mean == pytest.approx(whole.mean, rel=1e-12)


@pytest.mark.parametrize(
    ("bins", "kinds"), [(Bins(1, 5), "10 of 1 and 5 of 1"), (Bins(2, 10), "10 of 1 and 10 of 2")]
)
def test_histograms_with_different_bins_are_not_pooled(bins: Bins, kinds: str) -> None:
    parts = [Histogram.of(np.array([0, 1, 4]), each) for each in (Bins(1, 10), bins)]
    with pytest.raises(PipelineError, match=f"have different bins, {kinds}"):
        Histogram.pooled(parts)


def test_a_histogram_is_read_as_it_was_written() -> None:
    histogram = histograms("image", NOISE)["contrast"]
    assert Histogram.from_dict(histogram.as_dict()) == histogram
