"""Muon: steps of orthogonalised momentum for convolutions, Nesterov's momentum for the rest.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; for convolutions and
with normalised weights as in the CIFAR-10 speed record of 2024, airbench94_muon. The Muon of Keras
leaves every variable that is not a matrix to AdamW, and so all convolutions.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

COEFFICIENTS = 3.4445, -4.7750, 2.0315  # of Jordan's quintic: steep at zero, near one from 0.3 on
ITERATIONS = 3
EPSILON = 1e-7


class Muon(keras.optimizers.Optimizer):  # type: ignore[misc]
    """The learning rate is that of convolution kernels; the others' are multiples of it.

    A convolution's kernel is normalised before each step, so that its outputs' weights have a norm
    of one in the mean, and its step is then the learning rate in every direction.
    """

    def __init__(
        self, learning_rate: Any, momentum: float, logits_rate: float, offset_rate: float
    ) -> None:
        super().__init__(learning_rate, name="muon")
        self.momentum = momentum
        self.logits_rate = logits_rate
        self.offset_rate = offset_rate

    def build(self, variables: Sequence[Any]) -> None:
        """Make the momenta of `variables`, zero, and note which rate each variable has."""
        if self.built:
            return
        super().build(variables)
        self._momenta = self.add_optimizer_variables(variables, "momentum")
        self._multiples = [
            self.logits_rate if str(one.path).startswith("logits/") else self.offset_rate
            for one in variables
        ]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Make one step with one variable."""
        number = self._get_variable_index(variable)
        rate = ops.cast(learning_rate, variable.dtype)
        momentum = self.momentum * self._momenta[number] + gradient
        self.assign(self._momenta[number], momentum)
        ahead = gradient + self.momentum * momentum  # Nesterov
        if len(variable.shape) == 4:
            outputs = variable.shape[-1]
            step = orthogonalized(ops.reshape(ahead, (-1, outputs)))
            norm = ops.sqrt(ops.sum(ops.square(variable)))
            unit = variable * (outputs**0.5 / norm)
            self.assign(variable, unit - rate * ops.reshape(step, variable.shape))
        else:
            self.assign_sub(variable, rate * self._multiples[number] * ahead)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` makes the same optimizer of."""
        config = super().get_config()
        return {
            "learning_rate": config["learning_rate"],
            "momentum": self.momentum,
            "logits_rate": self.logits_rate,
            "offset_rate": self.offset_rate,
        }


def orthogonalized(matrix: Any) -> Any:
    """A matrix (M, N) with its singular values brought near one: between about 0.7 and 1.2.

    Newton-Schulz iteration: X → aX + bXX'X + c(XX')²X takes each singular value through the same
    odd polynomial. All iterates are the first times a polynomial of its Gram matrix, the smaller
    of XX' and X'X, and so the iteration needs products of that size only.
    """
    rows, columns = matrix.shape
    a, b, c = COEFFICIENTS
    x = matrix / (ops.sqrt(ops.sum(ops.square(matrix))) + EPSILON)
    gram = ops.matmul(x, ops.transpose(x)) if rows < columns else ops.matmul(ops.transpose(x), x)
    identity = ops.eye(min(rows, columns), dtype=gram.dtype)
    product = identity
    for _ in range(ITERATIONS):
        factor = a * identity + b * gram + c * ops.matmul(gram, gram)
        product = ops.matmul(factor, product)
        gram = ops.matmul(factor, ops.matmul(gram, factor))
    return ops.matmul(product, x) if rows < columns else ops.matmul(x, product)
