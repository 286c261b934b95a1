"""3 × 3 convolutions with a fourth of the multiplications, for training on CPUs.

Lavin and Gray 2015, "Fast Algorithms for Convolutional Neural Networks", F(4 × 4, 3 × 3). The
output is cut into tiles of 4 × 4 pixels, each of which depends on 6 × 6 pixels of the input. Tiles
and kernel are transformed by small matrices; at each of the 36 positions the convolution is then a
product of two matrices over the channels: 36 multiplications instead of 16 × 9. oneDNN computes the
products. The transforms are sums of a few maps, which XLA fuses into one pass; two steps, rows and
then columns, are several times as fast as one.

Results differ from those of Keras's layer by rounding, about 1e-5 of the greatest value.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from resnet.training.layers.swap import is_plain_conv3x3

TILE, WINDOW = 4, 6
# Below these the transforms and the many small operations cost more than the products save.
MIN_CHANNELS = 64
MIN_WORK = 2**19  # channels in × channels out × pixels

# Section 4.3: Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A for a kernel g and a window d.
A_T = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], np.float32
)
B_T = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float32,
)
G = np.array(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], np.float32
) / np.float32(24)

Tensors = list[tf.Tensor]
xla_compiled = partial(tf.function, jit_compile=True, autograph=False)


class WinogradConv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """`keras.layers.Conv2D` of 3 × 3, stride 1, no bias, float32: faster in training."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Maps (N, S, S, C) → maps (N, S, S, width), two rows and columns less if "valid"."""
        if not training:
            return super().call(inputs)
        return convolution(inputs, self.kernel.value, int(self.padding == "same"))

    @staticmethod
    def is_faster_for(layer: Any) -> bool:
        """Whether this class computes what `layer` computes, and faster."""
        return (
            is_plain_conv3x3(layer)
            and layer.compute_dtype == "float32"
            and _is_large(layer.input.shape[1:], layer.filters)
        )


def _is_large(input_hwc: Sequence[int], filters: int) -> bool:
    height, width, channels = input_hwc
    work = height * width * channels * filters
    return height == width and min(channels, filters) >= MIN_CHANNELS and work >= MIN_WORK


def convolution(x_nhwc: tf.Tensor, kernel: tf.Tensor, padding: int) -> tf.Tensor:
    """float32 maps (N, S, S, C) and a kernel (3, 3, C, K) → maps (N, R, R, K).

    R = S - 2 + 2 × `padding`, the zeros added at each edge: 1 for "same", 0 for "valid".
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def differentiable(x_nhwc: tf.Tensor, kernel: tf.Tensor) -> Any:
        def gradient(dy_nhwc: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rotated = tf.transpose(tf.reverse(kernel, (0, 1)), (0, 1, 3, 2))
            dx_nhwc = _convolved(dy_nhwc, rotated, 2 - padding)
            return dx_nhwc, _kernel_gradient(x_nhwc, dy_nhwc, padding)

        return _convolved(x_nhwc, kernel, padding), gradient

    return differentiable(x_nhwc, kernel)


def _convolved(x_nhwc: tf.Tensor, kernel: tf.Tensor, padding: int) -> tf.Tensor:
    side = x_nhwc.shape[1] - 2 + 2 * padding
    tiles = -(-side // TILE)
    windows = _window_columns(_window_rows(x_nhwc, padding, tiles))
    transformed = tf.einsum("ai,bj,ijck->abck", G, G, kernel)
    kernels = tf.unstack(tf.reshape(transformed, (WINDOW * WINDOW, *kernel.shape[2:])))
    products = [tf.matmul(*pair) for pair in zip(windows, kernels, strict=True)]
    return _tile_rows(_tile_columns(products, tiles), side)


def _kernel_gradient(x_nhwc: tf.Tensor, dy_nhwc: tf.Tensor, padding: int) -> tf.Tensor:
    """The windows are transformed again: keeping them would take 2.25 times the maps' memory."""
    rows = _gradient_rows(dy_nhwc)
    windows = _window_columns(_window_rows(x_nhwc, padding, rows[0].shape[1]))
    pairs = zip(windows, _gradient_columns(rows), strict=True)
    products = tf.stack([tf.matmul(*pair, transpose_a=True) for pair in pairs])
    products = tf.reshape(products, (WINDOW, WINDOW, x_nhwc.shape[-1], dy_nhwc.shape[-1]))
    return tf.einsum("ai,bj,abck->ijck", G, G, products)


def _combined(matrix: np.ndarray, parts: Sequence[tf.Tensor]) -> Tensors:
    """For each row of the matrix the sum of the parts, each times the row's entry for it."""
    return [
        sum(entry * part for entry, part in zip(row.tolist(), parts, strict=True) if entry)
        for row in matrix
    ]


@xla_compiled
def _window_rows(x_nhwc: tf.Tensor, padding: int, tiles: int) -> Tensors:
    """Bᵀ d for all windows: 6 maps (N, tiles, 4 × tiles + 2, C)."""
    after = TILE * tiles + 2 - padding - x_nhwc.shape[1]
    padded = tf.pad(x_nhwc, [(0, 0), (padding, after), (padding, after), (0, 0)])
    return _combined(B_T, [padded[:, i : i + TILE * tiles - 3 : TILE] for i in range(WINDOW)])


@xla_compiled
def _window_columns(rows: Tensors) -> Tensors:
    """(Bᵀ d) B: 36 matrices (N × tiles², C), one for each position in the window."""
    last = rows[0].shape[2] - WINDOW + 1
    return [
        tf.reshape(maps, (-1, maps.shape[-1]))
        for row in rows
        for maps in _combined(B_T, [row[:, :, j : j + last : TILE] for j in range(WINDOW)])
    ]


@xla_compiled
def _tile_columns(products: Tensors, tiles: int) -> Tensors:
    """M A for products M in the order of `_window_columns`: 6 maps (N, tiles, 4 × tiles, K)."""
    width = products[0].shape[-1]
    positions = [tf.reshape(product, (-1, tiles, tiles, width)) for product in products]
    rows = [positions[i : i + WINDOW] for i in range(0, len(positions), WINDOW)]
    shape = (-1, tiles, TILE * tiles, width)
    return [tf.reshape(tf.stack(_combined(A_T, row), 3), shape) for row in rows]


@xla_compiled
def _tile_rows(rows: Tensors, side: int) -> tf.Tensor:
    """Aᵀ (M A): maps (N, S, S, K)."""
    _, _, columns, width = rows[0].shape
    whole = tf.reshape(tf.stack(_combined(A_T, rows), 2), (-1, columns, columns, width))
    return whole[:, :side, :side]


@xla_compiled
def _gradient_rows(dy_nhwc: tf.Tensor) -> Tensors:
    """A dy for all tiles: 6 maps (N, tiles, 4 × tiles, K)."""
    after = -dy_nhwc.shape[1] % TILE
    padded = tf.pad(dy_nhwc, [(0, 0), (0, after), (0, after), (0, 0)])
    return _combined(A_T.T, [padded[:, i::TILE] for i in range(TILE)])


@xla_compiled
def _gradient_columns(rows: Tensors) -> Tensors:
    """(A dy) Aᵀ: 36 matrices (N × tiles², K), in the order of `_window_columns`."""
    return [
        tf.reshape(maps, (-1, maps.shape[-1]))
        for row in rows
        for maps in _combined(A_T.T, [row[:, :, j::TILE] for j in range(TILE)])
    ]
