"""Whether a portable form gives the Keras model's outputs: probabilities in, an objection out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resnet import params
from resnet.errors import PipelineError
from resnet.evaluation.records import Predictions


@dataclass(frozen=True)
class Comparison:
    """The outputs of a form beside those of the Keras model, for the same test samples."""

    images: int
    equal: int  # predictions that are the Keras model's
    correct: int
    correct_keras: int
    probability_difference: float  # the greatest

    @property
    def agreement(self) -> float:
        return self.equal / self.images

    @property
    def accuracy(self) -> float:
        return self.correct / self.images

    @property
    def accuracy_difference(self) -> float:
        """The form's minus the Keras model's; of whole samples, so that a limit holds exactly."""
        return (self.correct - self.correct_keras) / self.images


def compare(probabilities_nk: NDArray[np.float32], predictions: Predictions) -> Comparison:
    """The comparison with the Keras model's `predictions`.

    Raises PipelineError where the outputs cannot be probabilities of the same classes.
    """
    wanted = predictions.probabilities_nk.shape
    if probabilities_nk.shape != wanted:
        raise PipelineError(
            f"its output has shape {probabilities_nk.shape}, the Keras model's {wanted}"
        )
    if not np.isfinite(probabilities_nk).all():
        raise PipelineError("it gives NaN or infinity instead of probabilities")
    predicted_n = probabilities_nk.argmax(axis=1)
    return Comparison(
        images=len(predicted_n),
        equal=int((predicted_n == predictions.predicted_n).sum()),
        correct=int((predicted_n == predictions.labels_n).sum()),
        correct_keras=int(predictions.correct_n.sum()),
        probability_difference=float(np.abs(probabilities_nk - predictions.probabilities_nk).max()),
    )


def objection(comparison: Comparison, settings: params.Export) -> str | None:
    """Why the form is left out, in words; None where it may be used in the Keras model's place."""
    if comparison.agreement < settings.agreement:
        return (
            f"its predictions agree with the Keras model's on {comparison.agreement:.2%} of "
            f"{comparison.images:,} test samples, wanted {settings.agreement:.2%}"
        )
    if abs(comparison.accuracy_difference) > settings.accuracy:
        return (
            f"its accuracy differs from the Keras model's by "
            f"{100 * comparison.accuracy_difference:+.2f} points, at most "
            f"{100 * settings.accuracy:.2f} are allowed"
        )
    return None
