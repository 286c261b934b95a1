"""Random draws of training: the order of the images, and how each is cropped and mirrored.

(seed, epoch, batch) → small integer arrays. Batch k of epoch e is a pure function of the three,
whichever batches were drawn before it, so training can be resumed at any step. Numbers come from
Philox, a generator that is a function of a key (here the seed) and a counter (epoch, batch).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from resnet.params import Augment

ORDER, CROP, FLIP = 0, 1, 2  # independent streams of one seed


class Draws(NamedTuple):
    """The draws for K batches of B images; each array is of shape (K, B)."""

    index_kb: npt.NDArray[np.int32]  # of the image
    top_kb: npt.NDArray[np.int32]  # the crop's first row in the padded image, 0 to 2 × pad
    left_kb: npt.NDArray[np.int32]  # the crop's first column
    flip_kb: npt.NDArray[np.bool_]  # whether the image is mirrored

    def part(self, steps: slice) -> "Draws":
        """The draws of some of the batches."""
        index, top, left, flip = self
        return Draws(index[steps], top[steps], left[steps], flip[steps])


def draw(seed: int, epoch: int, batches: range, images: int, batch: int, augment: Augment) -> Draws:
    """The draws for `batches` of an epoch over `images` images, `batch` of them per step.

    Images that are left at the end of an epoch and fill no batch are not used; every epoch has
    another order. With alternating flips an image that is mirrored in one epoch is not in the next,
    so that two epochs show both of its sides (Jordan 2024, section 3.6).
    """
    order = _random(seed, ORDER, epoch, 0).permutation(images).astype(np.int32)
    index = order[batches.start * batch : batches.stop * batch].reshape(len(batches), batch)
    top, left = np.zeros((2, *index.shape), np.int32)
    flip = np.zeros(index.shape, np.bool_)
    for row, number in enumerate(batches):
        random = _random(seed, CROP, epoch, number)
        corners = random.integers(0, 2 * augment.pad, (2, batch), np.int32, endpoint=True)
        top[row], left[row] = corners
        if augment.flip == "random":
            flip[row] = random.integers(0, 2, batch, np.int32)
    if augment.flip == "alternating":
        first_n = _random(seed, FLIP, 0, 0).integers(0, 2, images, np.int32)
        flip = (first_n[index] + epoch) % 2 == 1
    return Draws(index, top, left, flip)


def _random(seed: int, stream: int, epoch: int, batch: int) -> np.random.Generator:
    counter: Any = [0, batch, epoch, stream]  # the first word counts the numbers drawn
    return np.random.Generator(np.random.Philox(key=seed % 2**128, counter=counter))
