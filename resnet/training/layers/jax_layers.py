"""Keras's layers as XLA trains them sooner, and on GPUs with the same bits every time.

Weights and outputs are the stock layers'; results differ by rounding, and the pooling's gradient
where two of the greatest values are equal: each has its share then.
"""

from typing import Any

import jax
import jax.numpy as jnp
import keras

from resnet.training.layers.swap import is_plain

FEW = 16, 32
PACKED = 64  # channels that fill a GPU's matrix units


class OnePassBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """`keras.layers.BatchNormalization`: both statistics in one pass over the maps, not in two."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Maps (N, H, W, C) → maps of the same shape; in training the moving values move too."""
        if not training:
            return super().call(inputs)
        maps = inputs.astype("float32")
        # Both are taken of what the maps are beside the moving mean, a small number: the difference
        # of two large squares would be mostly rounding.
        beside = maps - self.moving_mean.value
        difference = beside.mean((0, 1, 2))
        mean = self.moving_mean.value + difference
        variance = jnp.maximum(jnp.square(beside).mean((0, 1, 2)) - jnp.square(difference), 0)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        factor = jax.lax.rsqrt(variance + self.epsilon)
        if self.scale:
            factor = factor * self.gamma.value
        return (maps * factor + (self.beta.value - mean * factor)).astype(inputs.dtype)

    def _move(self, moving: Any, batch: Any) -> None:
        moving.assign(moving.value * self.momentum + batch * (1 - self.momentum))


class BlockMaxPooling2D(keras.layers.MaxPooling2D):  # type: ignore[misc]
    """`keras.layers.MaxPooling2D` of blocks of pixels that do not overlap.

    The gradient of XLA's own pooling scatters, and to do that in a fixed order it sorts: with
    `train.deterministic` that took at least 2.8 of the 7.0 ms of `fast`'s step on a GPU.
    """

    def call(self, inputs: Any) -> Any:
        """Maps (N, H, W, C) → (N, H // 2, W // 2, C) where 2 × 2 are pooled."""
        rows, columns = self.pool_size
        height, width = inputs.shape[1] // rows, inputs.shape[2] // columns
        maps = inputs[:, : height * rows, : width * columns]
        return maps.reshape(-1, height, rows, width, columns, maps.shape[3]).max((2, 4))

    @staticmethod
    def can_do(layer: Any) -> bool:
        """Whether it can do a layer's work."""
        return (
            type(layer) is keras.layers.MaxPooling2D
            and layer.pool_size == layer.strides
            and layer.padding == "valid"
        )


class PackedConv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """`keras.layers.Conv2D` of 3 × 3, stride 1, "same", no bias, and few channels: for GPUs.

    Their matrix units are made for products of 64 columns, and the networks of He et al. 2015 have
    16 and 32 channels. So p neighbours of a row are taken as one pixel of p times the channels,
    which is the same memory, and the kernel is made to fit. What it multiplies by zero costs less
    than what stood empty.
    """

    def add_weight(self, *words: Any, **more: Any) -> Any:
        """The kernel, which is packed, and its gradient summed, in its own precision."""
        return super().add_weight(*words, **{**more, "autocast": False})

    def call(self, inputs: Any) -> Any:
        """Maps (N, H, W, C) → maps (N, H, W, filters)."""
        _, height, width, channels = inputs.shape
        neighbours = PACKED // self.filters
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
    def pays_for(layer: Any) -> bool:
        """Whether it can do a layer's work, and sooner."""
        return (
            is_plain(layer)
            and layer.padding == "same"
            and layer.filters in FEW
            and layer.input.shape[2] % (PACKED // layer.filters) == 0
            and layer.input.shape[3] >= layer.filters
        )


def packed(kernel: Any, neighbours: int) -> Any:
    """A kernel (3, 3, C, K) → (3, 3, p × C, p × K): that of p neighbours of a row as one pixel.

    The three packed pixels that it looks at are 3p pixels of the row; to the j-th of the p in the
    middle belong those from p + j - 1 to p + j + 1, and zeros elsewhere.
    """
    _, _, channels, filters = kernel.shape
    shifted = [
        jnp.pad(kernel, ((0, 0), (before, 3 * neighbours - 3 - before), (0, 0), (0, 0)))
        for before in range(neighbours - 1, 2 * neighbours - 1)
    ]
    return jnp.stack(shifted, axis=3).reshape(3, 3, neighbours * channels, neighbours * filters)
