from typing import Any

import numpy as np
import pytest

from resnet.forms.data_spec import DataSpec
from resnet.forms.image.augmentation import augment
from resnet.params import Augment

MEAN = [125.3, 122.9, 113.8]
DATA = DataSpec("image", (32, 32, 3), MEAN, [62.0] * 3, classes=10)
REFLECT = Augment(flip="random", pad=4, fill="reflect")
FILL = Augment(flip="random", pad=4, fill="mean")


def images(count: int = 3) -> Any:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)


def augmented(config: Augment, top: list[int], left: list[int], flip: list[bool]) -> Any:
    draws = np.array(top, np.int32), np.array(left, np.int32), np.array(flip)
    return np.asarray(augment(images(), draws, config, DATA))


@pytest.mark.parametrize("config", [REFLECT, FILL])
def test_a_crop_from_the_middle_is_the_image(config: Augment) -> None:
    np.testing.assert_array_equal(augmented(config, [4] * 3, [4] * 3, [False] * 3), images())


def test_a_mirrored_crop_from_the_middle_is_the_mirrored_image() -> None:
    mirrored = augmented(REFLECT, [4] * 3, [4] * 3, [True] * 3)
    np.testing.assert_array_equal(mirrored, images()[:, :, ::-1])


def test_each_image_is_cropped_and_mirrored_by_itself() -> None:
    cropped = augmented(REFLECT, [0, 3, 8], [8, 2, 0], [False, True, False])
    padded = np.pad(images(), [(0, 0), (4, 4), (4, 4), (0, 0)], "reflect")
    np.testing.assert_array_equal(cropped[0], padded[0, 0:32, 8:40])
    np.testing.assert_array_equal(cropped[1], padded[1, 3:35, 2:34][:, ::-1])
    np.testing.assert_array_equal(cropped[2], padded[2, 8:40, 0:32])


def test_padding_with_the_mean_uses_the_integers_nearest_to_it() -> None:
    cropped = augmented(FILL, [0, 3, 8], [8, 2, 0], [False, True, False])
    padded = np.full((3, 40, 40, 3), np.round(MEAN), np.uint8)
    padded[:, 4:36, 4:36] = images()
    np.testing.assert_array_equal(cropped[0], padded[0, 0:32, 8:40])
    np.testing.assert_array_equal(cropped[1], padded[1, 3:35, 2:34][:, ::-1])
    np.testing.assert_array_equal(cropped[2], padded[2, 8:40, 0:32])


def test_augmented_images_are_still_uint8() -> None:
    assert augmented(FILL, [0] * 3, [0] * 3, [True] * 3).dtype == np.uint8


def test_without_augmentation_the_images_pass_through() -> None:
    still = Augment(flip="none", pad=0, fill="mean")
    np.testing.assert_array_equal(augmented(still, [0] * 3, [0] * 3, [False] * 3), images())


def test_an_image_that_is_no_square_is_cropped_and_mirrored_too() -> None:
    wide = np.random.default_rng(1).integers(0, 256, (1, 8, 20, 1), np.uint8)
    draws = np.array([2], np.int32), np.array([0], np.int32), np.array([True])
    cropped = np.asarray(augment(wide, draws, REFLECT, DATA))
    padded = np.pad(wide, [(0, 0), (4, 4), (4, 4), (0, 0)], "reflect")
    np.testing.assert_array_equal(cropped[0], padded[0, 2:10, 0:20][:, ::-1])
