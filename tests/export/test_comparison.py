"""When a form gives the Keras model's outputs."""

import numpy as np
import pytest

from resnet import params
from resnet.errors import PipelineError
from resnet.evaluation.records import Predictions
from resnet.export.comparison import compare, objection

SETTINGS = params.Export(forms=("onnx",), agreement=0.99, accuracy=0.002)


def predictions(wrong: int, images: int = 10_000) -> Predictions:
    """Of two classes: all images are of the second, the first `wrong` taken for the other."""
    probabilities_nk = np.full((images, 2), (0.1, 0.9), np.float32)
    probabilities_nk[:wrong] = (0.6, 0.4)
    return Predictions(np.ones(images, np.uint8), probabilities_nk)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (20, None),  # 0.2 points, exactly what is allowed
        (21, "its accuracy differs from the Keras model's by -0.21 points, at most 0.20"),
        (101, "agree with the Keras model's on 98.99% of 10,000 test samples, wanted 99.00%"),
    ],
)
def test_a_form_is_left_out_beyond_the_limits_and_not_at_them(wrong: int, reason: str | None):
    compared = compare(predictions(wrong).probabilities_nk, predictions(0))
    text = objection(compared, SETTINGS)
    assert (text is None) if reason is None else (reason in str(text))
    assert compared.probability_difference == pytest.approx(0.5)


def test_outputs_that_are_no_probabilities_of_these_classes_are_refused() -> None:
    reference = predictions(0)
    with pytest.raises(PipelineError, match=r"shape \(10000, 1\)"):
        compare(reference.probabilities_nk[:, :1], reference)
    with pytest.raises(PipelineError, match="NaN"):
        compare(np.full_like(reference.probabilities_nk, np.nan), reference)
