"""The step engine on JAX: the images on every device, a compiled loop of steps, no copies of state.

Devices that share a training hold the same weights, and each makes its part of every batch: XLA
sums what they find, so that batch statistics and gradients are those of the whole batch, as one
device computes them.
"""

from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import numpy.typing as npt
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from resnet.errors import PipelineError
from resnet.forms.image.augment import augment
from resnet.forms.image.draws import Draws
from resnet.params import Train
from resnet.training import optimizer
from resnet.training.engines.base import SCORED, Base
from resnet.training.engines.interface import Bytes, Floats, padded
from resnet.training.layers.jax_layers import (
    BlockMaxPooling2D,
    OnePassBatchNormalization,
    PackedConv2D,
)
from resnet.training.loss import correct, cross_entropy

WHOLE = PartitionSpec()
IMAGES = PartitionSpec("images")  # the axis of a batch's images is divided among the devices
DRAWS = PartitionSpec(None, "images")
DRAWN = np.int32, np.int32, np.int32, np.bool_  # of the arrays in Draws
# On a GPU all the steps of a call are one CUDA graph, whose kernels run side by side where none
# needs another's results: small maps do not fill the GPU, and launching takes as long as computing.
COMMANDS = "FUSION", "CUBLAS", "CUBLASLT", "CUDNN", "CUSTOM_CALL", "CONVOLUTION"
GRAPH = {
    "xla_gpu_enable_command_buffer": ",".join([*COMMANDS, "WHILE", "CONDITIONAL"]),
    "xla_gpu_command_buffer_scheduling_mode": "CONCURRENT",
}


class JaxEngine(Base):
    """See `resnet.training.engines.interface.Engine`."""

    chunk = 512

    @staticmethod
    def layer_class(layer: keras.layers.Layer) -> type[Any]:
        """See `resnet.training.layers.jax_layers` for what each wins."""
        if type(layer) is keras.layers.BatchNormalization:
            return OnePassBatchNormalization
        if BlockMaxPooling2D.can_do(layer):
            return BlockMaxPooling2D
        if PackedConv2D.pays_for(layer) and on_gpu():
            return PackedConv2D
        return type(layer)

    def _prepare(self, images_nhwc: Bytes, labels_n: Bytes) -> None:
        shared_by = devices(self._recipe)
        self.devices = len(shared_by)
        self.scored = SCORED + -SCORED % self.devices
        self._mesh = Mesh(np.array(shared_by), ("images",))
        variables = self._model.trainable_variables
        state = variables, self._model.non_trainable_variables, self._optimizer.variables
        # Copies: the steps donate their state, and the model's own arrays must not go with it.
        self._state = self._put(jax.tree.map(lambda one: np.array(one.value), state), WHOLE)
        self._data = self._put((images_nhwc, labels_n), WHOLE)
        self._batch = jax.shard_map(
            self._augmented, mesh=self._mesh, in_specs=(WHOLE, IMAGES), out_specs=IMAGES
        )
        whole = NamedSharding(self._mesh, WHOLE)
        steps = jax.jit(self._steps, donate_argnums=0, out_shardings=whole)
        # Compiled now, so that the time of the training loop is that of its steps.
        self._train = steps.lower(self._state, self._data, self._drawn(), np.int32(0)).compile(
            compiler_options=GRAPH if on_gpu() else None
        )
        self._score = jax.jit(self._scored, out_shardings=whole)

    def train(self, draws: Draws) -> Floats:
        count = len(draws.index_kb)
        filled = Draws(*(padded(rows_kb, self.chunk) for rows_kb in draws))
        self._state, results = self._train(
            self._state, self._data, self._put(filled, DRAWS), np.int32(count)
        )
        return np.asarray(results)[:count]

    def weights(self) -> list[npt.NDArray[Any]]:
        trained, moving = jax.device_get(self._state[:2])
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
        return [np.array(value) for value in jax.tree.leaves(jax.device_get(self._state))]

    def restore(self, state: list[npt.NDArray[Any]]) -> None:
        form = jax.tree.structure(self._state)
        self._state = self._put(jax.tree.unflatten(form, map(np.array, state)), WHOLE)

    def _put(self, arrays: Any, spec: PartitionSpec) -> Any:
        """The arrays on the devices; every process gives the same, and keeps its devices' part."""
        sharding = NamedSharding(self._mesh, spec)

        def put(array: npt.NDArray[Any]) -> Any:
            return jax.make_array_from_callback(array.shape, sharding, lambda part: array[part])

        return jax.tree.map(put, arrays)

    def _drawn(self) -> Draws:
        """The form of the draws for `chunk` batches."""
        shape, sharding = (self.chunk, self._recipe.batch), NamedSharding(self._mesh, DRAWS)
        return Draws(*(jax.ShapeDtypeStruct(shape, dtype, sharding=sharding) for dtype in DRAWN))

    def _steps(self, state: Any, data: Any, draws: Draws, count: Any) -> Any:
        """`count` steps. A bound that is data, not form, is compiled once for every length, and so
        the bits of a step do not depend on how many are made in one call."""

        def step(k: Any, carried: Any) -> Any:
            state, results = carried
            state, result = self._step(state, data, Draws(*(rows_kb[k] for rows_kb in draws)))
            return state, results.at[k].set(result)

        return jax.lax.fori_loop(0, count, step, (state, jnp.zeros((self.chunk, 2))))

    def _step(self, state: Any, data: Any, draws: Draws) -> Any:
        recipe = self._recipe
        trained, moving, optimizing = state
        batch, truth = self._batch(data, draws)

        def loss(trained: Any) -> Any:
            logits, new = self._model.stateless_call(trained, moving, batch, training=True)
            return cross_entropy(logits, truth, recipe.label_smoothing).mean(), (logits, new)

        (value, (logits, moving)), gradients = jax.value_and_grad(loss, has_aux=True)(trained)
        variables = self._model.trainable_variables
        gradients = optimizer.decayed(gradients, variables, trained, recipe.optimizer)
        trained, optimizing = self._optimizer.stateless_apply(optimizing, gradients, trained)
        return (trained, moving, optimizing), jnp.stack([value, correct(logits, truth).mean()])

    def _augmented(self, data: Any, draws: Draws) -> Any:
        """One device's part of a batch, made by itself: nothing travels between devices here."""
        (images, labels), (index, top, left, flip) = data, draws
        return augment(images[index], top, left, flip, self._recipe.augment, self._mean), labels[
            index
        ]

    def _totals(self, images_nhwc: Bytes, labels_n: Bytes, counted_n: Floats) -> Floats:
        batch = self._put((images_nhwc, labels_n, counted_n), IMAGES)
        return np.asarray(self._score(self._state, *batch))

    def _scored(self, state: Any, images: Any, labels: Any, counted: Any) -> Any:
        trained, moving, _ = state
        logits, _ = self._model.stateless_call(trained, moving, images, training=False)
        return jnp.stack([cross_entropy(logits, labels), correct(logits, labels)]) @ counted


def on_gpu() -> bool:
    return bool(jax.devices()[0].platform == "gpu")


def devices(train: Train) -> list[Any]:
    """The devices that share each batch. Raises PipelineError where they are not there, or cannot.

    Where several processes train together, the devices are those of all of them.
    """
    found = jax.devices()
    count = len(found) if train.devices == "all" else train.devices
    seen = f"JAX sees {len(found)} ({found[0].platform})"
    if count > len(found):
        raise PipelineError(
            f"train.devices is {count}, but {seen}: set it to {len(found)} or less, or to all"
        )
    if jax.process_count() > 1 and count != len(found):
        raise PipelineError(
            f"train.devices is {count}, but {jax.process_count()} processes train together and "
            f"{seen}: set it to all"
        )
    if train.batch % count:
        raise PipelineError(
            f"train.batch is {train.batch}, which {count} devices cannot share evenly: set it to a "
            f"multiple of {count}, or train.devices to a divisor of it"
        )
    return list(found[:count])
