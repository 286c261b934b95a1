"""Optimizers: `params.Optimizer` and the learning rate of each step → a Keras optimizer."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from resnet.params import Optimizer
from resnet.training.muon import Muon


class RateTable(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A learning rate schedule that looks up step k in `rates`, float32 of shape (steps,)."""

    def __init__(self, rates: npt.NDArray[np.float32]) -> None:
        super().__init__()
        self.rates = rates

    def __call__(self, step: Any) -> Any:
        last = len(self.rates) - 1
        return keras.ops.take(self.rates, keras.ops.minimum(keras.ops.cast(step, "int32"), last))

    def get_config(self) -> dict[str, Any]:
        return {"rates": self.rates.tolist()}


def create(
    settings: Optimizer, rates: npt.NDArray[np.float32], variables: Sequence[Any]
) -> keras.Optimizer:
    """The Keras optimizer for `variables`, built."""
    schedule = RateTable(rates)
    match settings.name:
        case "sgd":
            optimizer = keras.optimizers.SGD(schedule, settings.momentum, settings.nesterov)
        case "adam":
            optimizer = keras.optimizers.Adam(schedule)
        case "adamw":
            optimizer = keras.optimizers.AdamW(schedule, weight_decay=settings.weight_decay)
            optimizer.exclude_from_weight_decay([v for v in variables if not is_kernel(v)])
        case "muon":
            optimizer = Muon(schedule, settings.momentum, settings.adam_ratio)
    optimizer.build(variables)
    return optimizer


def decayed(
    gradients: Sequence[Any], variables: Sequence[Any], values: Sequence[Any], settings: Optimizer
) -> list[Any]:
    """The gradients of loss + weight_decay / 2 × |kernels|².

    That is weight decay as in He et al. AdamW's is not part of the gradient (Loshchilov and Hutter
    2019): Keras's AdamW applies it itself, and the gradients are returned unchanged. `values` are
    the variables' values, in the same order.
    """
    decay = 0.0 if settings.name == "adamw" else settings.weight_decay
    return [
        gradient + decay * value if decay and is_kernel(variable) else gradient
        for gradient, variable, value in zip(gradients, variables, values, strict=True)
    ]


def is_kernel(variable: Any) -> bool:
    """Whether it is the kernel of a convolution or a linear layer; only kernels decay."""
    return str(variable.path).endswith("/kernel")
