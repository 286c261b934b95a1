"""Keras's layers in a form that XLA trains faster, and on GPUs with the same bits every time.

Weights and outputs are those of Keras's layers. Results differ by rounding, and the gradient of
pooling where a maximum occurs twice: it is divided between the two.
"""

from typing import Any

import jax
import jax.numpy as jnp
import keras

from resnet.training.layers.swap import is_plain_conv3x3

FEW_FILTERS = 16, 32
PACKED_CHANNELS = 64  # so many fill a GPU's matrix units


class OnePassBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """`keras.layers.BatchNormalization`: mean and variance in one pass over the maps."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Maps (N, H, W, C) → maps of the same shape; training updates the moving statistics."""
        if not training:
            return super().call(inputs)
        maps = inputs.astype("float32")
        # The moving mean is subtracted first: the variance is a difference of two mean squares, and
        # of large numbers it would be mostly rounding error.
        shifted = maps - self.moving_mean.value
        shifted_mean = shifted.mean((0, 1, 2))
        mean = self.moving_mean.value + shifted_mean
        variance = jnp.maximum(jnp.square(shifted).mean((0, 1, 2)) - jnp.square(shifted_mean), 0)
        self._update(self.moving_mean, mean)
        self._update(self.moving_variance, variance)
        factor = jax.lax.rsqrt(variance + self.epsilon)
        if self.scale:
            factor = factor * self.gamma.value
        return (maps * factor + (self.beta.value - mean * factor)).astype(inputs.dtype)

    def _update(self, moving: Any, batch: Any) -> None:
        moving.assign(moving.value * self.momentum + batch * (1 - self.momentum))


class BlockMaxPooling2D(keras.layers.MaxPooling2D):  # type: ignore[misc]
    """`keras.layers.MaxPooling2D` over blocks of pixels that do not overlap.

    The gradient of XLA's own pooling is a scatter, which sorts to have a fixed order: with
    `train.deterministic` that took at least 2.8 of the 7.0 ms of `fast`'s step on a GPU.
    """

    def call(self, inputs: Any) -> Any:
        """Maps (N, H, W, C) → (N, H // 2, W // 2, C) for a pool size of 2 × 2."""
        rows, columns = self.pool_size
        height, width = inputs.shape[1] // rows, inputs.shape[2] // columns
        maps = inputs[:, : height * rows, : width * columns]
        return maps.reshape(-1, height, rows, width, columns, maps.shape[3]).max((2, 4))

    @staticmethod
    def can_replace(layer: Any) -> bool:
        """Whether this class computes what `layer` computes."""
        return (
            type(layer) is keras.layers.MaxPooling2D
            and layer.pool_size == layer.strides
            and layer.padding == "valid"
        )


class PackedConv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """`keras.layers.Conv2D` of 3 × 3, stride 1, "same", no bias, and few channels, for GPUs.

    The matrix units of a GPU are made for products of 64 columns; the networks of He et al. 2015
    have 16 and 32 channels. So p neighbouring pixels of a row are viewed as one pixel with p times
    the channels, which is the same memory, and the kernel is packed to match. Its zeros cost less
    than the columns that would stay empty.
    """

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        """The kernel is packed and its gradient summed in the kernel's own precision."""
        return super().add_weight(*args, **{**kwargs, "autocast": False})

    def call(self, inputs: Any) -> Any:
        """Maps (N, H, W, C) → maps (N, H, W, filters)."""
        _, height, width, channels = inputs.shape
        neighbours = PACKED_CHANNELS // self.filters
        kernel = packed(self.kernel.value, neighbours)
        maps = jax.lax.conv_general_dilated(
            inputs.reshape(-1, height, width // neighbours, neighbours * channels),
            kernel.astype(self.compute_dtype),
            window_strides=(1, 1),
            padding="SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return maps.reshape(-1, height, width, self.filters)

    @staticmethod
    def is_faster_for(layer: Any) -> bool:
        """Whether this class computes what `layer` computes, and faster."""
        return (
            is_plain_conv3x3(layer)
            and layer.padding == "same"
            and layer.filters in FEW_FILTERS
            and layer.input.shape[2] % (PACKED_CHANNELS // layer.filters) == 0
            and layer.input.shape[3] >= layer.filters
        )


def packed(kernel: Any, neighbours: int) -> Any:
    """A kernel (3, 3, C, K) → (3, 3, p × C, p × K), for p neighbouring pixels viewed as one.

    Its window of three packed pixels holds 3p pixels of the row. The output of the j-th of the p
    pixels in the middle depends on the pixels p + j - 1 to p + j + 1; its other weights are zero.
    """
    _, _, channels, filters = kernel.shape
    shifted = [
        jnp.pad(kernel, ((0, 0), (before, 3 * neighbours - 3 - before), (0, 0), (0, 0)))
        for before in range(neighbours - 1, 2 * neighbours - 1)
    ]
    return jnp.stack(shifted, axis=3).reshape(3, 3, neighbours * channels, neighbours * filters)
