"""The step engine: the one interface between the training loop and a backend.

An engine holds the network, the optimizer and the training images, and makes steps with them.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from resnet.forms.data_spec import DataSpec
from resnet.forms.draws import Draws
from resnet.params import Net, Train

Arrays = list[npt.NDArray[Any]]
Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class TrainingJob:
    """What an engine is made from."""

    net: Net
    data: DataSpec
    recipe: Train
    rates: Floats  # the learning rate of each step, (steps,)
    images_nhwc: Bytes  # to train on
    labels_n: Bytes


class Engine(Protocol):
    """Network, optimizer and training images on one device, or on several that share each batch."""

    devices: int
    chunk: int  # the most steps per call of `train`; fewer steps per call give the same bits

    def train(self, draws: Draws) -> Floats:
        """Make one step for each of the K batches drawn.

        Returns float32 (K, 2): the mean loss of each batch, with label smoothing and without weight
        decay, and its accuracy.
        """

    def score(self, images_nhwc: Bytes, labels_n: Bytes) -> Floats:
        """The mean cross-entropy in nats and the accuracy on N images, not augmented: (2,)."""

    def state(self) -> Arrays:
        """A copy of all that steps change: weights, moving averages, optimizer variables."""

    def restore(self, state: Arrays) -> None:
        """Set the `state` of an engine that was made from an equal job."""

    def weights(self) -> Arrays:
        """A copy of the network's weights, in the order of Keras's `get_weights`."""

    def close(self) -> None:
        """Called last."""


def padded(array: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """`array` with zeros appended up to `length`, so that every batch has the same shape."""
    missing = length - len(array)
    return np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1)) if missing else array
