"""Where many images may be scored in bfloat16: only where it was compared with float32."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from resnet.evaluation.scoring_precision import ScoringPrecision, compared, uncompared
from resnet.model import backend

CPU = backend.Device("tensorflow", "cpu", "a processor")
IMAGES = 4000
ADMITTED = ScoringPrecision("bfloat16", "they agree", "tensorflow", backend.cpu_model())


def probabilities(predicted_n: Any) -> Any:
    return np.eye(3, dtype=np.float32)[predicted_n]


def comparison(lost: int, gained: int = 0, moved: int = 0) -> ScoringPrecision:
    """Of predictions of which bfloat16 gets so many wrong, right, and wrong in another way.

    In float32 the second half is wrong.
    """
    labels_n = np.zeros(IMAGES, np.uint8)
    float32_n = np.repeat([0, 1], IMAGES // 2)
    bfloat16_n = float32_n.copy()
    bfloat16_n[:lost] = 1
    bfloat16_n[-gained or IMAGES :] = 0
    bfloat16_n[IMAGES // 2 : IMAGES // 2 + moved] = 2
    return compared(CPU, labels_n, probabilities(float32_n), probabilities(bfloat16_n))


@pytest.mark.parametrize(
    ("changes", "precision"),
    [
        ({"lost": 2}, "bfloat16"),  # of 4,000 images 0.05 points
        ({"lost": 3}, "float32"),
        ({"lost": 12, "gained": 10}, "bfloat16"),
        ({"lost": 0, "moved": 40}, "bfloat16"),  # 1 %
        ({"lost": 0, "moved": 41}, "float32"),
        ({"lost": 21, "gained": 20}, "float32"),
    ],
)
def test_bfloat16_is_admitted_where_predictions_agree_and_the_accuracy_is_kept(
    changes: dict[str, int], precision: str
) -> None:
    assert comparison(**changes).precision == precision


def test_what_was_compared_is_recorded_whatever_comes_of_it() -> None:
    scoring = comparison(lost=20)
    assert asdict(scoring) == {
        "precision": "float32",
        "reason": "in bfloat16 99.50% of 4,000 validation samples are predicted as in float32, "
        "with accuracy 49.50% instead of 50.00%",
        "backend": "tensorflow",
        "cpu": backend.cpu_model(),
        "images": 4000,
        "agreement": 0.995,
        "float32_accuracy": 0.5,
        "bfloat16_accuracy": 0.495,
    }


def test_outputs_that_are_no_numbers_are_refused() -> None:
    right = probabilities(np.zeros(10, int))
    broken = right.copy()
    broken[3, 2] = np.nan
    labels_n = np.array(
        [0, 0, 0, 2, 0, 0, 0, 0, 0, 0], np.uint8
    )  # argmax takes NaN for the maximum
    scoring = compared(CPU, labels_n, right, broken)
    assert (scoring.precision, scoring.reason.endswith("no numbers")) == ("float32", True)


def test_bfloat16_is_taken_on_the_kind_of_cpu_that_it_was_compared_on_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backend, "cpu_flags", lambda: {"amx_bf16", "avx2"})
    here = ScoringPrecision("bfloat16", "they agree", "tensorflow", backend.cpu_model())
    assert here.here("tensorflow").precision == "bfloat16"
    assert here.here("jax").precision == "float32"
    elsewhere = ScoringPrecision("bfloat16", "they agree", "tensorflow", "another")
    choice = elsewhere.here("tensorflow")
    assert (choice.precision, "with tensorflow on another" in choice.reason) == ("float32", True)
    monkeypatch.setattr(backend, "cpu_flags", lambda: {"avx2"})
    assert here.here("tensorflow").precision == "float32"


def test_float32_keeps_its_reason() -> None:
    choice = uncompared(CPU, "this CPU is slow").here("tensorflow")
    assert (choice.precision, choice.reason) == ("float32", "this CPU is slow")
