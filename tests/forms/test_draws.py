from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest

from resnet.forms.augmentation import draw
from resnet.forms.draws import Draws
from resnet.params import Augment

CROPS = Augment(flip="random", pad=4, fill="reflect")
ALTERNATING = Augment(flip="alternating", pad=4, fill="reflect")
STILL = Augment(flip="none", pad=0, fill="reflect")


draw_images = partial(draw, "image")


def pairs(first: Draws, second: Draws) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    yield first.index_kb, second.index_kb
    yield from zip(first.augmentation, second.augmentation, strict=True)


def equal(first: Draws, second: Draws) -> bool:
    return all(np.array_equal(*pair) for pair in pairs(first, second))


def test_a_batch_is_the_same_whichever_batches_were_drawn_before_it() -> None:
    together = draw_images(7, 3, range(10), 1000, 100, CROPS)
    alone = draw_images(7, 3, range(6, 8), 1000, 100, CROPS)
    assert equal(together.part(slice(6, 8)), alone)


@pytest.mark.parametrize(("seed", "epoch"), [(8, 3), (7, 4)])
def test_another_seed_or_epoch_draws_other_batches(seed: int, epoch: int) -> None:
    first = draw_images(7, 3, range(2), 1000, 100, CROPS)
    second = draw_images(seed, epoch, range(2), 1000, 100, CROPS)
    assert not any(np.array_equal(*pair) for pair in pairs(first, second))


def test_two_batches_of_an_epoch_are_cropped_differently() -> None:
    rows = draw_images(7, 3, range(2), 1000, 100, CROPS)
    top_kb, left_kb, _ = rows.augmentation
    assert not np.array_equal(top_kb[0], top_kb[1])
    assert not np.array_equal(top_kb[0], left_kb[0])


def test_an_epoch_uses_no_image_twice() -> None:
    index = draw_images(0, 1, range(10), 1000, 100, CROPS).index_kb
    assert sorted(index.ravel()) == list(range(1000))


def test_images_that_fill_no_batch_are_used_in_other_epochs() -> None:
    used = [
        set(draw_images(0, epoch, range(3), 100, 32, CROPS).index_kb.ravel()) for epoch in range(9)
    ]
    assert all(len(images) == 96 for images in used)
    assert set.union(*used) == set(range(100))


def test_every_place_of_the_crop_is_as_likely_and_half_the_images_are_mirrored() -> None:
    rows = draw_images(0, 1, range(90), 9000, 100, CROPS)
    top_kb, left_kb, flip_kb = rows.augmentation
    for places in (top_kb, left_kb):
        counts = np.bincount(places.ravel(), minlength=9)
        assert len(counts) == 9
        np.testing.assert_allclose(counts, 1000, atol=150)
    assert flip_kb.mean() == pytest.approx(0.5, abs=0.03)


def test_without_augmentation_nothing_is_moved_or_mirrored() -> None:
    rows = draw_images(0, 1, range(3), 100, 32, STILL)
    assert not any(places.any() for places in rows.augmentation)


def test_alternating_flips_mirror_half_the_images_and_in_the_next_epoch_the_other_half() -> None:
    mirrored = []
    for epoch in (1, 2, 3):
        rows = draw_images(0, epoch, range(10), 1000, 100, ALTERNATING)
        mirrored.append(set(rows.index_kb[rows.augmentation[2]]))
    assert mirrored[0] == mirrored[2] == set(range(1000)) - mirrored[1]
    assert len(mirrored[0]) == pytest.approx(500, abs=60)


def test_an_alternating_flip_is_the_same_whichever_batches_were_drawn_before_it() -> None:
    together = draw_images(7, 3, range(10), 1000, 100, ALTERNATING)
    alone = draw_images(7, 3, range(6, 8), 1000, 100, ALTERNATING)
    assert equal(together.part(slice(6, 8)), alone)
