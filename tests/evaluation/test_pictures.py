"""What the pictures show, read from their figures."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from resnet.evaluation import pictures
from resnet.evaluation.records import Predictions
from tests.support import profiles

PROFILE = profiles.of_images(["cat", "dog"])
IMAGES = np.zeros((4, 32, 32, 3), np.uint8)


def titles(figure: Figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


def test_mistakes_are_shown_from_the_most_confident_to_the_least() -> None:
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.02, 0.98], [0.2, 0.8]], np.float32)
    predictions = Predictions(np.zeros(4, np.uint8), probabilities)  # the first is correct
    shown = pictures.mistakes(IMAGES, predictions, PROFILE, count=2)
    assert titles(shown) == ["predicted dog 98.0 %", "predicted dog 80.0 %"]


def test_without_a_mistake_the_picture_says_so() -> None:
    predictions = Predictions(np.zeros(4, np.uint8), np.tile(np.array([1, 0], np.float32), (4, 1)))
    shown = pictures.mistakes(IMAGES, predictions, PROFILE, count=25)
    assert shown.get_suptitle() == "No mistakes"
    assert titles(shown) == []


def test_curves_leave_out_a_validation_split_that_is_not_there() -> None:
    columns = ["epoch", "step", "learning_rate", "train_loss", "train_accuracy"]
    history = pd.DataFrame([[1, 10, 0.1, 2.0, 0.2], [2, 20, 0.1, 1.0, 0.4]], columns=columns)
    history[["validation_loss", "validation_accuracy"]] = np.nan
    loss, accuracy, rate = pictures.curves(history).axes
    assert [len(ax.lines) for ax in (loss, accuracy, rate)] == [1, 1, 1]
    history["validation_loss"] = 1.5
    assert len(pictures.curves(history).axes[0].lines) == 2
