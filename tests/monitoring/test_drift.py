"""Drift is told apart from chance, and from differences too small to matter."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ks_2samp

from resnet import params
from resnet.errors import PipelineError
from resnet.forms.histogram import Histogram
from resnet.forms.image.statistics import FEATURES
from resnet.monitoring import drift, drift_page
from resnet.monitoring.features import CONFIDENCE, Features
from resnet.monitoring.scored_batches import ScoredBatch
from resnet.registry.versions import Version

RULES = params.Monitor(batches=10, images=100, significance=0.01, distance=0.1)
CLASSES = [f"class {k}" for k in range(10)]


def features(images: int, seed: int, brightness: float = 120, of_first: float = 0.1) -> Features:
    """Of images whose brightness has a mean of `brightness`; the first class's share is given."""
    rng = np.random.default_rng(seed)
    shares = [of_first, *[(1 - of_first) / 9] * 9]
    light_n = rng.normal(brightness, 30, images).clip(0, 255)
    return Features(
        "image",
        dict(zip(CLASSES, rng.multinomial(images, shares).tolist(), strict=True)),
        Histogram.of(rng.beta(8, 2, images), CONFIDENCE),
        {
            "brightness": Histogram.of(light_n, FEATURES["brightness"].bins),
            "contrast": Histogram.of(
                rng.normal(50, 12, images).clip(0, 127), FEATURES["contrast"].bins
            ),
        },
    )


def with_brightness(usual: Features, brightness: Histogram) -> Features:
    return replace(usual, samples={**usual.samples, "brightness": brightness})


REFERENCE = features(20_000, seed=0)


def batch(scored: Features, number: int = 0) -> ScoredBatch:
    time = f"2031-01-02T03:{number:02}:00.000+00:00"
    return ScoredBatch(
        "net",
        3,
        f"{number}",
        scored,
        time,
        "/![in](http://x/in.png)",
        "/out",
        "ann@host",
        id=f"{number}",
    )


def detect(*scored: Features, rules: params.Monitor = RULES) -> drift.Drift:
    return drift.detect(REFERENCE, [batch(one, k) for k, one in enumerate(scored)], rules)


def test_distance_and_p_of_histograms_are_scipys_of_the_numbers_in_their_bins() -> None:
    scored = features(300, seed=1, brightness=125).samples["brightness"]
    reference = REFERENCE.samples["brightness"]
    numbers = [np.repeat(np.arange(32), one.counts) for one in (reference, scored)]
    expected = ks_2samp(*numbers, method="asymp")
    distance, p = drift.kolmogorov_smirnov("brightness", reference, scored)
    assert distance == pytest.approx(expected.statistic, rel=1e-12)
    assert p == pytest.approx(expected.pvalue, rel=1e-9)


def test_the_distance_of_classes_is_the_share_that_would_have_to_change() -> None:
    distance, p = drift.chi_squared([50, 50, 0], [75, 25, 0])
    assert distance == 0.25
    assert p == pytest.approx(0.000263, rel=1e-2)  # chi-squared 13.33, one degree of freedom


def test_images_like_the_reference_have_not_drifted() -> None:
    detected = detect(features(500, seed=1), features(500, seed=2))
    assert (detected.state, detected.drifted) == ("No drift", {})


def test_darker_images_have_drifted_in_brightness_alone() -> None:
    detected = detect(features(300, seed=1, brightness=80))
    assert detected.state == "Drift"
    assert detected.drifted == {"brightness": pytest.approx(0.5, abs=0.1)}


def test_another_mix_of_classes_has_drifted_in_classes_alone() -> None:
    assert list(detect(features(300, seed=1, of_first=0.4)).drifted) == ["classes"]


def test_what_is_significant_and_too_small_to_matter_is_no_drift() -> None:
    detected = detect(features(20_000, seed=1, brightness=123))
    assert detected.together is not None
    (brightness,) = [one for one in detected.together.distances if one.name == "brightness"]
    assert brightness.p < 1e-9
    assert brightness.value < RULES.distance
    assert detected.state == "No drift"


def test_few_images_neither_alarm_nor_clear() -> None:
    detected = detect(features(99, seed=1, brightness=20))
    assert (detected.state, detected.drifted) == ("Not enough samples", {})
    assert detect().state == "Not enough samples"


def test_one_drifted_batch_is_not_lost_among_nine_others() -> None:
    usual = [features(200, seed=seed) for seed in range(1, 10)]
    detected = detect(*usual[:4], features(200, seed=20, brightness=100), *usual[4:])
    assert detected.state == "Drift"
    assert detected.together is not None
    assert not detected.together.drifted
    assert [bool(one.drifted) for one in detected.each] == [k == 4 for k in range(10)]


def test_batches_too_small_to_tell_count_together() -> None:
    detected = detect(*[features(30, seed=seed, brightness=90) for seed in range(5)])
    assert detected.state == "Drift"
    assert detected.together is not None
    assert detected.together.images == 150
    assert not any(one.drifted for one in detected.each)


@pytest.mark.parametrize(
    ("sizes", "comparisons"), [([200], 4), ([200, 200], 12), ([200, 50], 8), ([50, 60], 4)]
)
def test_every_comparison_makes_the_others_stricter(sizes: list[int], comparisons: int) -> None:
    detected = detect(*[features(size, seed) for seed, size in enumerate(sizes)])
    assert detected.threshold == RULES.significance / comparisons


def test_chance_alone_seldom_alarms() -> None:
    rules = RULES.model_copy(update={"distance": 0})
    looks = [
        detect(*[features(100, seed=100 + 3 * n + k) for k in range(3)], rules=rules)
        for n in range(100)
    ]
    assert sum(one.state == "Drift" for one in looks) <= 4  # 1 is to be expected


def test_other_bins_are_refused() -> None:
    usual = features(200, seed=1)
    coarse = with_brightness(usual, Histogram(120, 16, usual.samples["brightness"].counts[:16]))
    with pytest.raises(PipelineError, match="brightness was counted in 32 bins of 8 .* 16 of 16"):
        detect(coarse)


@pytest.mark.parametrize(("width", "bins"), [(16, 16), (4, 32)])
def test_other_bins_of_one_batch_among_others_are_refused(width: float, bins: int) -> None:
    usual = features(200, seed=1)
    other = with_brightness(usual, Histogram(120, width, usual.samples["brightness"].counts[:bins]))
    with pytest.raises(PipelineError, match=f"brightness was counted .* in {bins} of {width} for"):
        detect(usual, other)


def test_the_text_says_what_has_changed_and_by_how_much() -> None:
    version = Version("net", 3, "", "", "", "", "", ("production",))
    detected = detect(features(200, seed=1), features(200, seed=2, brightness=60, of_first=0.5))
    text = drift_page.text(version, detected)
    assert "the last 2 batches (400 images, 2031-01-02 03:00 to 2031-01-02 03:01)" in text
    assert "that net version 3 has scored differ from the reference in classes (0." in text
    assert "\nclasses     class 0 " in text
    assert text.count("  together and in 1 of 2 batches, up to 0.") == 2
    assert text.count("  no\n") + text.endswith("  no") == 2
    nothing = drift_page.text(version, detect())
    assert nothing == "Not enough samples: net version 3 has scored no batch"


def test_the_page_has_its_pictures_in_it_and_loads_nothing() -> None:
    version = Version("net", 3, "", "", "", "", "", ())
    for number, pictures in ((0, 0), (1, 1), (12, 2)):
        detected = detect(*[features(150, seed) for seed in range(number)])
        html = drift_page.html(version, detected, RULES)
        assert html.count('<img src="data:image/png;base64,') == pictures
        assert 'src="http' not in html
        assert 'href="' not in html
