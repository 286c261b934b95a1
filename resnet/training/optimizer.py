"""Optimizers: `params.Optimizer` and the rate of each step → a Keras optimizer."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from resnet.params import Optimizer
from resnet.training.muon import Muon


class Table(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A learning rate schedule that looks step k up in `rates`, float32 of shape (steps,)."""

    def __init__(self, rates: npt.NDArray[np.float32]) -> None:
        super().__init__()
        self.rates = rates

    def __call__(self, step: Any) -> Any:
        last = len(self.rates) - 1
        return keras.ops.take(self.rates, keras.ops.minimum(keras.ops.cast(step, "int32"), last))

    def get_config(self) -> dict[str, Any]:
        return {"rates": self.rates.tolist()}


def create(
    optimizer: Optimizer, rates: npt.NDArray[np.float32], variables: Sequence[Any]
) -> keras.Optimizer:
    """The optimizer of `variables`, built."""
    schedule = Table(rates)
    match optimizer.name:
        case "sgd":
            made = keras.optimizers.SGD(schedule, optimizer.momentum, optimizer.nesterov)
        case "adam":
            made = keras.optimizers.Adam(schedule)
        case "adamw":
            made = keras.optimizers.AdamW(schedule, weight_decay=optimizer.weight_decay)
            made.exclude_from_weight_decay([one for one in variables if not is_kernel(one)])
        case "muon":
            made = Muon(schedule, optimizer.momentum, optimizer.adam_ratio)
    made.build(variables)
    return made


def decayed(
    gradients: Sequence[Any], variables: Sequence[Any], values: Sequence[Any], optimizer: Optimizer
) -> list[Any]:
    """The gradients of loss + weight_decay / 2 × |kernels|².

    That is weight decay as He et al. mean it. AdamW's is not in the gradient (Loshchilov and
    Hutter 2019): Keras's AdamW does it, and the gradients come back as they are. `values` holds
    the variables' values, in the same order.
    """
    decay = 0.0 if optimizer.name == "adamw" else optimizer.weight_decay
    return [
        gradient + decay * value if decay and is_kernel(variable) else gradient
        for gradient, variable, value in zip(gradients, variables, values, strict=True)
    ]


def is_kernel(variable: Any) -> bool:
    """Whether it is a convolution's or a linear layer's kernel, the only weights that decay."""
    return str(variable.path).endswith("/kernel")
