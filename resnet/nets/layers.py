"""The layers of residual networks: feature maps in, feature maps out.

Feature maps are NHWC float32. Every layer is one of Keras's own, with a name from its caller, so
that two builds of one network have the same architecture with the same names.
"""

from typing import Any

import keras

from resnet.params import Net

Maps = Any  # a keras.KerasTensor of shape (N, H, W, C)

MOMENTUM = 0.9  # of the moving mean and variance: training may have only a few hundred steps
EPSILON = 1e-5


def convolution(
    x: Maps, width: int, kernel: int, stride: int, name: str, *, even: bool = False
) -> Maps:
    """A convolution without bias: the "same" size, divided by the stride.

    With stride 2 the 3 × 3 window is centred on the even pixels, those that `subsampled` keeps;
    Keras's own "same" padding would centre it on the odd ones. With `even`, the last row or column
    of the output is left out where the input has an odd number of them.
    """
    padding, sides = "same" if stride == 1 else "valid", x.shape[1:3]
    if kernel == 3 and (stride == 2 or (even and any(side % 2 for side in sides))):
        odd = 1 if stride == 2 else 0  # what is added after an odd number of rows or columns
        around = tuple((1, odd if side % 2 else 1 - odd) for side in sides)
        x = keras.layers.ZeroPadding2D(around, name=f"{name}_padding")(x)
        padding = "valid"
    return keras.layers.Conv2D(
        width, kernel, strides=stride, padding=padding, use_bias=False, name=name
    )(x)


def normalized(x: Maps, net: Net, name: str) -> Maps:
    """Batch normalisation (Ioffe and Szegedy 2015).

    The pooled family learns offsets but no scales, like its models (Jordan 2024).
    """
    scale = net.block != "pooled"
    return keras.layers.BatchNormalization(
        momentum=MOMENTUM, epsilon=EPSILON, scale=scale, name=name
    )(x)


def activated(x: Maps, net: Net, name: str) -> Maps:
    return keras.layers.Activation(net.activation, name=name)(x)


def halved(x: Maps, name: str) -> Maps:
    """The maximum of each 2 × 2 pixels in each channel."""
    return keras.layers.MaxPooling2D(2, name=name)(x)


def subsampled(x: Maps, stride: int, name: str) -> Maps:
    """Every `stride`-th pixel of each row and column."""
    return keras.layers.AveragePooling2D(1, stride, name=name)(x)


def widened(x: Maps, width: int, name: str) -> Maps:
    """Zero channels appended, up to `width`.

    With "channels_first" the layer pads the last axis, as an image's columns; here that axis holds
    the channels.
    """
    missing = width - x.shape[-1]
    return keras.layers.ZeroPadding2D(
        ((0, 0), (0, missing)), data_format="channels_first", name=name
    )(x)
