"""The step engine on JAX: the images on the device, a scan over the steps, no copies of state."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from resnet.data.batches import Draws
from resnet.nets.build import build
from resnet.params import Net, Train
from resnet.training import optimizer
from resnet.training.augment import augment
from resnet.training.engine import Bytes, Floats, padded
from resnet.training.objective import correct, cross_entropy

SCORED = 500  # images a call in `score`


class JaxEngine:
    """See `resnet.training.engine.Engine`."""

    chunk = 64  # scans of other lengths are compiled anew: an epoch has at most one such

    def __init__(
        self,
        net: Net,
        train: Train,
        mean: Sequence[float],
        deviation: Sequence[float],
        rates: Floats,
        images_nhwc: Bytes,
        labels_n: Bytes,
    ) -> None:
        self._params, self._mean = train, mean
        self._model = build(net, mean, deviation, seed=train.seed)
        variables = self._model.trainable_variables
        self._optimizer = optimizer.create(train.optimizer, rates, variables)
        # Copies: the steps donate their state, and the model's own arrays must not go with it.
        self._state = jax.tree.map(
            lambda variable: jnp.array(variable.value),
            (variables, self._model.non_trainable_variables, self._optimizer.variables),
        )
        self._images = jnp.asarray(images_nhwc)
        self._labels = jnp.asarray(labels_n)
        self._train = jax.jit(self._steps, donate_argnums=0)
        self._score = jax.jit(self._totals)

    def train(self, draws: Draws) -> Floats:
        self._state, results = self._train(self._state, self._images, self._labels, draws)
        return np.asarray(results)

    def score(self, images_nhwc: Bytes, labels_n: Bytes) -> Floats:
        totals = np.zeros(2, np.float32)
        for start in range(0, len(images_nhwc), SCORED):
            images = images_nhwc[start : start + SCORED]
            labels = labels_n[start : start + SCORED]
            counted = padded(np.ones(len(images), np.float32), SCORED)
            batch = padded(images, SCORED), padded(labels, SCORED), counted
            totals += np.asarray(self._score(self._state, *batch))
        return totals / np.float32(len(images_nhwc))

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

    def _steps(self, state: Any, images: Any, labels: Any, draws: Draws) -> Any:
        def step(state: Any, of_one_batch: Draws) -> Any:
            return self._step(state, images, labels, of_one_batch)

        return jax.lax.scan(step, state, draws)

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

    def _totals(self, state: Any, images: Any, labels: Any, counted: Any) -> Any:
        trained, moving, _ = state
        logits, _ = self._model.stateless_call(trained, moving, images, training=False)
        return jnp.stack([cross_entropy(logits, labels), correct(logits, labels)]) @ counted
