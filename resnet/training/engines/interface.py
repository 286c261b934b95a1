"""The step engine: the one interface between the training loop and a backend.

An engine holds the network, the optimizer and the training images, and makes steps with them.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from resnet.forms.image.draws import Draws
from resnet.nets.data_spec import DataSpec
from resnet.params import Net, Train

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class TrainingJob:
    """What an engine is made from."""

    net: Net
    data: DataSpec
    recipe: Train
    rates: Floats  # the learning rate of each step to come, (steps,)
    images_nhwc: Bytes  # to train on
    labels_n: Bytes


class Engine(Protocol):
    """Network, optimizer and training images on one device, or on several that share each batch."""

    devices: int
    chunk: int  # the most steps in one call of `train`; fewer give the same bits

    def train(self, draws: Draws) -> Floats:
        """Make a step for each of the K batches drawn.

        Gives float32 (K, 2): of each batch the mean loss, label smoothing included and weight decay
        not, and the share of images recognised.
        """

    def score(self, images_nhwc: Bytes, labels_n: Bytes) -> Floats:
        """The cross-entropy in nats and the share recognised, of N images as they are: (2,)."""

    def state(self) -> list[npt.NDArray[Any]]:
        """A copy of all that steps change: weights, moving averages, the optimizer's variables."""

    def restore(self, state: list[npt.NDArray[Any]]) -> None:
        """Go back to a `state` of an engine made from an equal job."""

    def weights(self) -> list[npt.NDArray[Any]]:
        """A copy of the network's weights, in the order of Keras's `get_weights`."""

    def close(self) -> None:
        """No more calls will come."""


def padded(array: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """`array` with zeros after its end up to `length`, so that every batch has one shape."""
    missing = length - len(array)
    return np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1)) if missing else array
