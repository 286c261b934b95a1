"""What an accuracy hides, on predictions whose answers are known."""

import numpy as np
import pytest

from resnet.data.sets.annotations import Annotations
from resnet.evaluation import robustness
from resnet.evaluation.records import Predictions
from resnet.evaluation.score import wilson

NEAR = np.array([True, True, False, False, False, False])
WRONG = np.array([False, False, False, False, True, False])


def six() -> Predictions:
    """Of six images of two classes the first four are classified correctly."""
    labels_n = np.array([0, 1, 0, 1, 0, 1], np.uint8)
    predicted_n = np.array([0, 1, 0, 1, 1, 0])
    return Predictions(labels_n, np.where(np.eye(2)[predicted_n] == 1, 0.9, 0.1).astype(np.float32))


def test_each_subset_of_the_test_images_has_its_accuracy_and_interval() -> None:
    table = robustness.subsets(six(), Annotations(near_n=NEAR, wrong_n=WRONG)).set_index("subset")
    assert table["images"].to_dict() == {
        "all": 6,
        "without near-duplicates": 4,
        "near-duplicates": 2,
        "without label errors": 5,
        "without both": 3,
    }
    assert table["correct"].tolist() == [4, 2, 2, 4, 2]
    assert table["accuracy"].tolist() == pytest.approx([4 / 6, 2 / 4, 1, 4 / 5, 2 / 3])
    assert tuple(table.loc["without both", ["low", "high"]]) == wilson(2, 3)


def test_without_its_annotation_a_subset_has_no_row() -> None:
    assert robustness.subsets(six(), Annotations())["subset"].tolist() == ["all"]
    part = robustness.subsets(six(), Annotations(wrong_n=WRONG))
    assert part["subset"].tolist() == ["all", "without label errors"]
    nobody = Annotations(near_n=np.zeros(6, np.bool_))
    assert robustness.subsets(six(), nobody)["images"].tolist() == [6, 6]


def test_the_cross_entropy_against_people_is_least_for_their_own_shares() -> None:
    people_nk = np.array([[0.5, 0.5], [1.0, 0.0]])
    entropy = robustness.human_entropy(people_nk)
    assert entropy == pytest.approx(np.log(2) / 2)
    labels_n = np.zeros(2, np.uint8)
    own = Predictions(labels_n, people_nk.astype(np.float32))
    assert robustness.human_cross_entropy(own, people_nk) == pytest.approx(entropy)
    other = Predictions(labels_n, np.array([[0.75, 0.25], [0.5, 0.5]], np.float32))
    expected = (-(np.log(0.75) + np.log(0.25)) / 2 - np.log(0.5)) / 2
    assert robustness.human_cross_entropy(other, people_nk) == pytest.approx(expected)
