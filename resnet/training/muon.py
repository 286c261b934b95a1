"""Muon: steps of orthogonalised momentum for convolutions, Adam's steps for the rest.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; for convolutions and
with normalised weights as in the CIFAR-10 speed record of 2024, airbench94_muon. Keras's own Muon
leaves every variable that is not a matrix to Adam, and so all convolutions.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

COEFFICIENTS = 3.4445, -4.7750, 2.0315  # of Jordan's quintic: steep at zero, near one from 0.3 on
ITERATIONS = 3
BETAS = 0.85, 0.95  # of Adam: small, for trainings of a few hundred steps
EPSILON = 1e-8


class Muon(keras.optimizers.Optimizer):  # type: ignore[misc]
    """The learning rate applies to convolution kernels; Adam's is `adam_ratio` times as high.

    A convolution's kernel is normalised before each step, so that the weights of an output have a
    norm of one on average; the step then has the length of the learning rate in every direction.
    Adam's steps do not shrink with a linear layer's gradients, so they are divided by the number of
    its inputs (Yang and Hu 2021): one ratio serves every width and batch size.
    """

    def __init__(self, learning_rate: Any, momentum: float, adam_ratio: float) -> None:
        super().__init__(learning_rate, name="muon")
        self.momentum = momentum
        self.adam_ratio = adam_ratio

    def build(self, variables: Sequence[Any]) -> None:
        """Create the momenta of `variables`, and second moments for those of Adam, all zero."""
        if self.built:
            return
        super().build(variables)
        self._momenta = self.add_optimizer_variables(variables, "momentum")
        self._squares = [
            None if _is_convolution(v) else self.add_variable_from_reference(v, "square")
            for v in variables
        ]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Make one step of one variable."""
        rate = ops.cast(learning_rate, variable.dtype)
        index = self._get_variable_index(variable)
        if _is_convolution(variable):
            self._muon_step(gradient, variable, rate, self._momenta[index])
        else:
            moments = self._momenta[index], self._squares[index]
            self._adam_step(gradient, variable, rate * self.adam_ratio, *moments)

    def _muon_step(self, gradient: Any, kernel: Any, rate: Any, momentum: Any) -> None:
        new_momentum = self.momentum * momentum + gradient
        self.assign(momentum, new_momentum)
        nesterov = gradient + self.momentum * new_momentum
        outputs = kernel.shape[-1]
        step = orthogonalized(ops.reshape(nesterov, (-1, outputs)))
        unit = kernel * (outputs**0.5 / _norm(kernel))
        self.assign(kernel, unit - rate * ops.reshape(step, kernel.shape))

    def _adam_step(
        self, gradient: Any, variable: Any, rate: Any, momentum: Any, square: Any
    ) -> None:
        moments = [
            beta * old + (1 - beta) * new
            for beta, old, new in zip(
                BETAS, (momentum, square), (gradient, ops.square(gradient)), strict=True
            )
        ]
        self.assign(momentum, moments[0])
        self.assign(square, moments[1])
        steps = ops.cast(self.iterations + 1, variable.dtype)
        mean, variance = (
            moment / (1 - beta**steps) for beta, moment in zip(BETAS, moments, strict=True)
        )
        inputs = variable.shape[0] if len(variable.shape) == 2 else 1
        self.assign_sub(variable, rate / inputs * mean / (ops.sqrt(variance) + EPSILON))

    def get_config(self) -> dict[str, Any]:
        """The arguments from which `from_config` makes an equal optimizer."""
        learning_rate = super().get_config()["learning_rate"]
        own = {"momentum": self.momentum, "adam_ratio": self.adam_ratio}
        return {"learning_rate": learning_rate, **own}


def orthogonalized(matrix: Any) -> Any:
    """A matrix (M, N) with its singular values brought near one: between about 0.7 and 1.2.

    Newton-Schulz iteration: X → aX + bXX'X + c(XX')²X applies one odd polynomial to every singular
    value. Each iterate is the first times a polynomial of its Gram matrix, the smaller of XX' and
    X'X, so the iteration needs products of that size only.
    """
    rows, columns = matrix.shape
    a, b, c = COEFFICIENTS
    x = matrix / (_norm(matrix) + EPSILON)
    gram = ops.matmul(x, ops.transpose(x)) if rows < columns else ops.matmul(ops.transpose(x), x)
    identity = ops.eye(min(rows, columns), dtype=gram.dtype)
    product = identity
    for _ in range(ITERATIONS):
        # In Horner form: TensorFlow's order of adding three terms depends on its threads, and with
        # it the last bits.
        factor = a * identity + ops.matmul(gram, b * identity + c * gram)
        product = ops.matmul(factor, product)
        gram = ops.matmul(factor, ops.matmul(gram, factor))
    return ops.matmul(product, x) if rows < columns else ops.matmul(x, product)


def _is_convolution(variable: Any) -> bool:
    return len(variable.shape) == 4


def _norm(values: Any) -> Any:
    return ops.sqrt(ops.sum(ops.square(values)))
