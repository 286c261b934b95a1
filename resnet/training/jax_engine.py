"""The step engine on JAX: the images on the device, a loop over the steps, no copies of state."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from resnet.data.batches import Draws
from resnet.training import optimizer
from resnet.training.augment import augment
from resnet.training.base import Base
from resnet.training.engine import Bytes, Floats, padded
from resnet.training.objective import correct, cross_entropy


class JaxEngine(Base):
    """See `resnet.training.engine.Engine`."""

    chunk = 64

    def _prepare(self, images_nhwc: Bytes, labels_n: Bytes) -> None:
        variables = self._model.trainable_variables
        # Copies: the steps donate their state, and the model's own arrays must not go with it.
        self._state = jax.tree.map(
            lambda variable: jnp.array(variable.value),
            (variables, self._model.non_trainable_variables, self._optimizer.variables),
        )
        self._images = jnp.asarray(images_nhwc)
        self._labels = jnp.asarray(labels_n)
        self._train = jax.jit(self._steps, donate_argnums=0)
        self._score = jax.jit(self._scored)

    def train(self, draws: Draws) -> Floats:
        count = len(draws.index_kb)
        filled = Draws(*(padded(rows_kb, self.chunk) for rows_kb in draws))
        self._state, results = self._train(self._state, self._images, self._labels, filled, count)
        return np.asarray(results)[:count]

    def weights(self) -> list[npt.NDArray[Any]]:
        trained, moving, _ = self._state
        values = {
            variable.path: value
            for variables, state in (
                (self._model.trainable_variables, trained),
                (self._model.non_trainable_variables, moving),
            )
            for variable, value in zip(variables, state, strict=True)
        }
        return [np.array(values[variable.path]) for variable in self._model.weights]

    def state(self) -> list[npt.NDArray[Any]]:
        return [np.array(value) for value in jax.tree.leaves(self._state)]

    def restore(self, state: list[npt.NDArray[Any]]) -> None:
        form = jax.tree.structure(self._state)
        self._state = jax.tree.unflatten(form, [jnp.asarray(value) for value in state])

    def _steps(self, state: Any, images: Any, labels: Any, draws: Draws, count: Any) -> Any:
        """The first `count` steps of the draws; what comes after these is not looked at.

        A scan over as many steps would be compiled for each number of them, each with bits of its
        own: training that is taken up in the middle of an epoch would not end as it should.
        """

        def step(k: Any, made: Any) -> Any:
            state, results = made
            of_one_batch = Draws(*(rows_kb[k] for rows_kb in draws))
            state, result = self._step(state, images, labels, of_one_batch)
            return state, results.at[k].set(result)

        return jax.lax.fori_loop(0, count, step, (state, jnp.zeros((self.chunk, 2))))

    def _step(self, state: Any, images: Any, labels: Any, draws: Draws) -> Any:
        params = self._params
        trained, moving, optimizing = state
        index, top, left, flip = draws
        batch = augment(images[index], top, left, flip, params.augment, self._mean)
        truth = labels[index]

        def loss(trained: Any) -> Any:
            logits, new = self._model.stateless_call(trained, moving, batch, training=True)
            return cross_entropy(logits, truth, params.label_smoothing).mean(), (logits, new)

        (value, (logits, moving)), gradients = jax.value_and_grad(loss, has_aux=True)(trained)
        variables = self._model.trainable_variables
        gradients = optimizer.decayed(gradients, variables, trained, params.optimizer)
        trained, optimizing = self._optimizer.stateless_apply(optimizing, gradients, trained)
        return (trained, moving, optimizing), jnp.stack([value, correct(logits, truth).mean()])

    def _totals(self, images_nhwc: Bytes, labels_n: Bytes, counted_n: Floats) -> Floats:
        return np.asarray(self._score(self._state, images_nhwc, labels_n, counted_n))

    def _scored(self, state: Any, images: Any, labels: Any, counted: Any) -> Any:
        trained, moving, _ = state
        logits, _ = self._model.stateless_call(trained, moving, images, training=False)
        return jnp.stack([cross_entropy(logits, labels), correct(logits, labels)]) @ counted
