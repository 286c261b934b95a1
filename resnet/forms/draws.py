"""Random draws of training: (seed, epoch, batch) → small arrays, whatever the samples are.

Batch k of epoch e is a pure function of the three, whichever batches were drawn before it, so
training can be resumed at any step. Numbers come from Philox, a generator that is a function of a
key (here the seed) and a counter (epoch, batch).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

ORDER = 0  # the stream of the order; those of augmentation are others of the same seed


class Draws(NamedTuple):
    """The draws for K batches of B samples."""

    index_kb: npt.NDArray[np.int32]  # of the sample
    augmentation: tuple[npt.NDArray[Any], ...]  # of its form, each (K, B)

    @classmethod
    def empty(cls, dtypes: Sequence[type[np.generic]]) -> Self:
        """Of no batch; `dtypes` are those of the arrays of the augmentation."""
        return cls(np.empty((0, 0), np.int32), tuple(np.empty((0, 0), one) for one in dtypes))

    def map(self, function: Callable[[Any], Any]) -> "Draws":
        """`function` of each array."""
        return Draws(function(self.index_kb), tuple(map(function, self.augmentation)))

    def part(self, steps: slice) -> "Draws":
        """The draws of some of the batches."""
        return self.map(lambda rows_kb: rows_kb[steps])


def order(seed: int, epoch: int, batches: range, samples: int, batch: int) -> npt.NDArray[np.int32]:
    """The indices for `batches` of an epoch over `samples` samples, `batch` of them per step.

    Samples that are left at the end of an epoch and fill no batch are not used; every epoch has
    another order.
    """
    shuffled = generator(seed, ORDER, epoch, 0).permutation(samples).astype(np.int32)
    return shuffled[batches.start * batch : batches.stop * batch].reshape(len(batches), batch)


def generator(seed: int, stream: int, epoch: int, batch: int) -> np.random.Generator:
    """The numbers of one batch in one of the independent streams of a seed."""
    counter: Any = [0, batch, epoch, stream]  # the first word counts the numbers drawn
    return np.random.Generator(np.random.Philox(key=seed % 2**128, counter=counter))
