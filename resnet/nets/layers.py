"""The layers that residual networks are made of: feature maps in, feature maps out.

Feature maps are NHWC float32. Every layer is one of Keras's own and is named by its caller's
prefix, so that two builds of one network give the same architecture, name for name.
"""

from typing import Any

import keras

from resnet.params import Net

Maps = Any  # a keras.KerasTensor of shape (N, H, W, C)

MOMENTUM = 0.9  # of the moving mean and variance: training may last a few hundred steps only
EPSILON = 1e-5


def convolution(
    x: Maps, width: int, kernel: int, stride: int, name: str, *, even: bool = False
) -> Maps:
    """A convolution without bias, "same" size divided by the stride.

    With stride 2 the 3 × 3 window is centred on the even pixels, those that `subsampled` keeps;
    Keras's own "same" padding would centre it on the odd ones. `even` leaves out the last row and
    column of what a 3 × 3 window would make of maps with an odd number of them.
    """
    padding = "same" if stride == 1 else "valid"
    if kernel == 3 and (stride == 2 or (even and x.shape[1] % 2)):
        x = keras.layers.ZeroPadding2D(((1, 0), (1, 0)), name=f"{name}_padding")(x)
        padding = "valid"
    return keras.layers.Conv2D(
        width, kernel, strides=stride, padding=padding, use_bias=False, name=name
    )(x)


def normalized(x: Maps, net: Net, name: str) -> Maps:
    """Batch normalisation (Ioffe and Szegedy 2015).

    The pooled family learns offsets alone, as the networks that it is made after (Jordan 2024).
    """
    scale = net.block != "pooled"
    return keras.layers.BatchNormalization(
        momentum=MOMENTUM, epsilon=EPSILON, scale=scale, name=name
    )(x)


def activated(x: Maps, net: Net, name: str) -> Maps:
    return keras.layers.Activation(net.activation, name=name)(x)


def halved(x: Maps, name: str) -> Maps:
    """The greatest of each 2 × 2 pixels, channel by channel."""
    return keras.layers.MaxPooling2D(2, name=name)(x)


def subsampled(x: Maps, stride: int, name: str) -> Maps:
    """Every `stride`-th pixel of each row and column."""
    return keras.layers.AveragePooling2D(1, stride, name=name)(x)


def widened(x: Maps, width: int, name: str) -> Maps:
    """Zero channels after the last, up to `width`.

    The layer is told that the maps are "channels first", so that what it pads as an image's
    columns are in truth our channels.
    """
    added = width - x.shape[-1]
    return keras.layers.ZeroPadding2D(
        ((0, 0), (0, added)), data_format="channels_first", name=name
    )(x)
