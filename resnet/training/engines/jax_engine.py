"""The step engine on JAX: the images on every device, a compiled loop of steps, no copies of state.

Devices that share a training hold the same weights, and each computes its part of every batch: XLA
sums over the devices, so that batch statistics and gradients are those of the whole batch, as on
one device.
"""

from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import numpy.typing as npt
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from resnet.errors import PipelineError
from resnet.forms.draws import Draws
from resnet.params import Train
from resnet.training import optimizer
from resnet.training.engines.base import SCORE_BATCH, BaseEngine
from resnet.training.engines.interface import Arrays, Bytes, Floats, padded
from resnet.training.layers.jax_layers import (
    BlockMaxPooling2D,
    OnePassBatchNormalization,
    PackedConv2D,
)
from resnet.training.loss import correct, cross_entropy

REPLICATED = PartitionSpec()
BY_IMAGE = PartitionSpec("images")  # the axis of a batch's images is divided among the devices
DRAWS_BY_IMAGE = PartitionSpec(None, "images")
# On a GPU all steps of a call are one CUDA graph, whose kernels run concurrently where none needs
# another's results: small maps do not fill the GPU, and launching takes as long as computing.
COMMANDS = "FUSION", "CUBLAS", "CUBLASLT", "CUDNN", "CUSTOM_CALL", "CONVOLUTION"
CUDA_GRAPH = {
    "xla_gpu_enable_command_buffer": ",".join([*COMMANDS, "WHILE", "CONDITIONAL"]),
    "xla_gpu_command_buffer_scheduling_mode": "CONCURRENT",
}


class JaxEngine(BaseEngine):
    """See `resnet.training.engines.interface.Engine`."""

    chunk = 512

    @staticmethod
    def layer_class(layer: keras.layers.Layer) -> type[Any]:
        """See `resnet.training.layers.jax_layers` for what each class gains."""
        if type(layer) is keras.layers.BatchNormalization:
            return OnePassBatchNormalization
        if BlockMaxPooling2D.can_replace(layer):
            return BlockMaxPooling2D
        if PackedConv2D.is_faster_for(layer) and on_gpu():
            return PackedConv2D
        return type(layer)

    def _prepare(self, images_nhwc: Bytes, labels_n: Bytes) -> None:
        mesh_devices = devices(self._recipe)
        self.devices = len(mesh_devices)
        self.score_batch = SCORE_BATCH + -SCORE_BATCH % self.devices
        self._mesh = Mesh(np.array(mesh_devices), ("images",))
        variables = self._model.trainable_variables
        state = variables, self._model.non_trainable_variables, self._optimizer.variables
        # Copies: the steps donate their state, and the model's own arrays must not go with it.
        values = jax.tree.map(lambda variable: np.array(variable.value), state)
        self._state = self._put(values, REPLICATED)
        self._data = self._put((images_nhwc, labels_n), REPLICATED)
        self._batch = jax.shard_map(
            self._drawn, mesh=self._mesh, in_specs=(REPLICATED, BY_IMAGE), out_specs=BY_IMAGE
        )
        replicated = NamedSharding(self._mesh, REPLICATED)
        steps = jax.jit(self._steps, donate_argnums=0, out_shardings=replicated)
        # Compiled now, so that the training loop's seconds are those of its steps.
        lowered = steps.lower(self._state, self._data, self._draws_spec(), np.int32(0))
        self._train = lowered.compile(compiler_options=CUDA_GRAPH if on_gpu() else None)
        self._score = jax.jit(self._scored, out_shardings=replicated)

    def train(self, draws: Draws) -> Floats:
        count = len(draws.index_kb)
        filled = draws.map(lambda rows_kb: padded(rows_kb, self.chunk))
        self._state, results = self._train(
            self._state, self._data, self._put(filled, DRAWS_BY_IMAGE), np.int32(count)
        )
        return np.asarray(results)[:count]

    def weights(self) -> Arrays:
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

    def state(self) -> Arrays:
        return [np.array(value) for value in jax.tree.leaves(jax.device_get(self._state))]

    def restore(self, state: Arrays) -> None:
        structure = jax.tree.structure(self._state)
        self._state = self._put(jax.tree.unflatten(structure, map(np.array, state)), REPLICATED)

    def _put(self, arrays: Any, spec: PartitionSpec) -> Any:
        """The arrays on the devices; every process passes the same and keeps its devices' part."""
        sharding = NamedSharding(self._mesh, spec)

        def put(array: npt.NDArray[Any]) -> Any:
            return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

        return jax.tree.map(put, arrays)

    def _draws_spec(self) -> Draws:
        """Shapes and dtypes of the draws for `chunk` batches."""
        shape = self.chunk, self._recipe.batch
        sharding = NamedSharding(self._mesh, DRAWS_BY_IMAGE)
        return self._draws_like.map(
            lambda like: jax.ShapeDtypeStruct(shape, like.dtype, sharding=sharding)
        )

    def _steps(self, state: Any, data: Any, draws: Draws, count: Any) -> Any:
        """`count` steps.

        The bound is data, not shape: the loop is compiled once for all lengths, and so the bits of
        a step do not depend on how many steps there are per call.
        """

        def step(k: Any, carry: Any) -> Any:
            state, results = carry
            state, result = self._step(state, data, draws.map(lambda rows_kb: rows_kb[k]))
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

    def _drawn(self, data: Any, draws: Draws) -> Any:
        """One device's part of a batch, computed alone: devices exchange nothing here."""
        (images, labels), index = data, draws.index_kb
        return self._augmented(images[index], draws.augmentation), labels[index]

    def _totals(self, images_nhwc: Bytes, labels_n: Bytes, counted_n: Floats) -> Floats:
        batch = self._put((images_nhwc, labels_n, counted_n), BY_IMAGE)
        return np.asarray(self._score(self._state, *batch))

    def _scored(self, state: Any, images: Any, labels: Any, counted: Any) -> Any:
        trained, moving, _ = state
        logits, _ = self._model.stateless_call(trained, moving, images, training=False)
        return jnp.stack([cross_entropy(logits, labels), correct(logits, labels)]) @ counted


def on_gpu() -> bool:
    return bool(jax.devices()[0].platform == "gpu")


def devices(recipe: Train) -> list[Any]:
    """The devices that share each batch; with several processes, those of all processes.

    Raises PipelineError where there are too few, or the batch cannot be divided among them.
    """
    available = jax.devices()
    count = len(available) if recipe.devices == "all" else recipe.devices
    seen = f"JAX sees {len(available)} ({available[0].platform})"
    if count > len(available):
        raise PipelineError(
            f"train.devices is {count}, but {seen}: set it to {len(available)} or less, or to all"
        )
    if jax.process_count() > 1 and count != len(available):
        raise PipelineError(
            f"train.devices is {count}, but {jax.process_count()} processes train together and "
            f"{seen}: set it to all"
        )
    if recipe.batch % count:
        raise PipelineError(
            f"train.batch is {recipe.batch}, which {count} devices cannot share evenly: set it to "
            f"a multiple of {count}, or train.devices to a divisor of it"
        )
    return list(available[:count])
