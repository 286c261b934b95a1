"""The files of a data set → its samples: which module of `sets` reads which data set."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from resnet.data.datasets import Dataset
from resnet.data.sets import cifar10, spoken_digits

Indices: TypeAlias = NDArray[np.intp]


class Stored(Protocol):
    """Samples as they are stored, and their labels."""

    @property
    def labels_n(self) -> NDArray[np.uint8]:
        """(N,), from 0."""

    def samples(self, indices: Indices, /) -> Iterator[NDArray[np.uint8]]:
        """Those samples, (n, …) at a time: all at once may take twice the memory."""


def read(dataset: Dataset, raw: Path) -> tuple[Stored, Stored]:
    """The samples for training and for testing, in the verified files in the folder `raw`.

    Raises PipelineError if a file has another form.
    """
    read_set: Callable[[Path, Dataset], tuple[Stored, Stored]] = READERS[dataset.reader]
    return read_set(raw, dataset)


READERS: dict[str, Any] = {"cifar10": cifar10.read, "spoken_digits": spoken_digits.read}
