"""How samples are varied in training: the door to the module `augmentation` of each form."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from resnet.forms.data_spec import DataSpec
from resnet.forms.draws import Draws, order
from resnet.forms.names import FormName
from resnet.params import Augment


class Augmentation(Protocol):
    """What a form's module has."""

    DTYPES: tuple[type[np.generic], ...]
    """Of the arrays that `draw` gives."""

    def draw(
        self,
        seed: int,
        epoch: int,
        batches: range,
        index_kb: npt.NDArray[np.int32],
        samples: int,
        config: Augment,
        /,
    ) -> tuple[npt.NDArray[Any], ...]:
        """How the samples `index_kb` of these batches, of `samples` in all, are varied: (K, B)."""

    def augment(self, samples: Any, drawn: Any, config: Augment, data: DataSpec, /) -> Any:
        """Samples uint8 (N, …), varied by arrays of draws (N,) → the same shape and dtype."""


def of(form: FormName) -> Augmentation:
    """The module of `form`."""
    match form:
        case "image":
            from resnet.forms.image import augmentation

            return augmentation
        case "wave":
            from resnet.forms.wave import augmentation as of_waves

            return of_waves


def draw(
    form: FormName,
    seed: int,
    epoch: int,
    batches: range,
    samples: int,
    batch: int,
    config: Augment,
) -> Draws:
    """The draws for `batches` of an epoch over `samples` samples, `batch` of them per step."""
    index_kb = order(seed, epoch, batches, samples, batch)
    return Draws(index_kb, of(form).draw(seed, epoch, batches, index_kb, samples, config))
