"""Residual blocks: y = x + G(x), with the two forms of G and the shortcuts that carry x.

He et al. 2015, "Deep Residual Learning for Image Recognition", sections 3.2 and 4.2;
He et al. 2016, "Identity Mappings in Deep Residual Networks", figure 1.
"""

import keras

from resnet.nets.layers import (
    Maps,
    Normalization,
    convolution,
    normalized,
    rectified,
    subsampled,
    widened,
)
from resnet.params import Net


def block(
    x: Maps, net: Net, width: int, stride: int, normalization: Normalization, name: str
) -> Maps:
    """One block of `net`: maps (N, H, W, C) → (N, H / stride, W / stride, width).

    y = x + G(x); the plain twin of a residual network lacks the shortcut: y = G(x).
    """
    residual = {"basic": basic, "preactivation": preactivation}[net.block]
    g = residual(x, width, stride, normalization, name)
    if net.shortcut == "none":
        y = g
    else:
        x = shortcut(x, net, width, stride, normalization, name)
        y = keras.layers.Add(name=f"{name}_add")([x, g])
    return rectified(y, f"{name}_relu") if net.block == "basic" else y


def basic(x: Maps, width: int, stride: int, normalization: Normalization, name: str) -> Maps:
    """G of He et al. 2015: convolve, normalise, rectify, convolve, normalise."""
    g = convolution(x, width, 3, stride, f"{name}_conv1")
    g = normalized(g, normalization, f"{name}_norm1")
    g = rectified(g, f"{name}_relu1")
    g = convolution(g, width, 3, 1, f"{name}_conv2")
    return normalized(g, normalization, f"{name}_norm2")


def preactivation(
    x: Maps, width: int, stride: int, normalization: Normalization, name: str
) -> Maps:
    """G of He et al. 2016: normalise, rectify, convolve, and the same again."""
    g = normalized(x, normalization, f"{name}_norm1")
    g = rectified(g, f"{name}_relu1")
    g = convolution(g, width, 3, stride, f"{name}_conv1")
    g = normalized(g, normalization, f"{name}_norm2")
    g = rectified(g, f"{name}_relu2")
    return convolution(g, width, 3, 1, f"{name}_conv2")


def shortcut(
    x: Maps, net: Net, width: int, stride: int, normalization: Normalization, name: str
) -> Maps:
    """x itself where the block keeps its shape, otherwise x brought to the shape of G(x).

    Option A keeps every second pixel and adds zero channels: no parameters. Option B is a learnt
    1 × 1 convolution of the same stride; like the convolutions of G it is normalised at once in
    the basic block, and by the next block in the pre-activation one.
    """
    if stride == 1 and x.shape[-1] == width:
        return x
    if net.shortcut == "A":
        x = subsampled(x, stride, f"{name}_shortcut_pixels")
        return widened(x, width, f"{name}_shortcut_channels")
    x = convolution(x, width, 1, stride, f"{name}_shortcut_conv")
    return (
        x if net.block == "preactivation" else normalized(x, normalization, f"{name}_shortcut_norm")
    )
