"""Residual blocks: y = x + G(x), with the three kinds of G and the shortcuts that carry x.

He et al. 2015, "Deep Residual Learning for Image Recognition", sections 3.2 and 4.2;
He et al. 2016, "Identity Mappings in Deep Residual Networks", figure 1;
for pooled groups Page 2018, "How to Train Your ResNet", and Jordan 2024, "94% on CIFAR-10 in 3.29
Seconds on a Single GPU", section 3.
"""

import keras

from resnet.nets.layers import (
    Maps,
    activated,
    convolution,
    halved,
    normalized,
    subsampled,
    widened,
)
from resnet.params import Net


def group(x: Maps, net: Net, number: int) -> Maps:
    """Group `number` of `net`'s blocks, counted from 1: (N, H, W, C) → (N, H', W', width).

    The first block of each group after the first halves the maps. Pooled blocks keep their shape:
    a transition before them halves the maps, in the first group too.
    """
    width, name = net.widths[number - 1], f"group{number}"
    if net.block == "pooled":
        x = transition(x, net, width, f"{name}_transition")
    for k in range(1, blocks(net) + 1):
        stride = 2 if net.block != "pooled" and number > 1 and k == 1 else 1
        x = block(x, net, width, stride, f"{name}_block{k}")
    return x


def blocks(net: Net) -> int:
    """Blocks in each group: n in He et al.'s depth 6n + 2, or 2n - 1 pooled ones.

    A pooled group begins with a convolution of its own, and each of its blocks has one.
    """
    pairs = (net.depth - 2) // (2 * len(net.widths))
    return 2 * pairs - 1 if net.block == "pooled" else pairs


def block(x: Maps, net: Net, width: int, stride: int, name: str) -> Maps:
    """One block of `net`: maps (N, H, W, C) → (N, H / stride, W / stride, width).

    y = x + G(x); the plain twin of a residual network lacks the shortcut: y = G(x).
    """
    residual = {"basic": basic, "preactivation": preactivation, "pooled": pooled}[net.block]
    g = residual(x, net, width, stride, name)
    if net.shortcut == "none":
        y = g
    else:
        x = shortcut(x, net, width, stride, name)
        y = keras.layers.Add(name=f"{name}_add")([x, g])
    return activated(y, net, f"{name}_activation") if net.block == "basic" else y


def basic(x: Maps, net: Net, width: int, stride: int, name: str) -> Maps:
    """G of He et al. 2015: convolve, normalise, activate, convolve, normalise."""
    g = convolution(x, width, 3, stride, f"{name}_conv1")
    g = normalized(g, net, f"{name}_norm1")
    g = activated(g, net, f"{name}_activation1")
    g = convolution(g, width, 3, 1, f"{name}_conv2")
    return normalized(g, net, f"{name}_norm2")


def preactivation(x: Maps, net: Net, width: int, stride: int, name: str) -> Maps:
    """G of He et al. 2016: normalise, activate, convolve, and the same again."""
    g = normalized(x, net, f"{name}_norm1")
    g = activated(g, net, f"{name}_activation1")
    g = convolution(g, width, 3, stride, f"{name}_conv1")
    g = normalized(g, net, f"{name}_norm2")
    g = activated(g, net, f"{name}_activation2")
    return convolution(g, width, 3, 1, f"{name}_conv2")


def pooled(x: Maps, net: Net, width: int, stride: int, name: str) -> Maps:
    """G of a pooled group: convolve, normalise, activate. The stride is 1."""
    g = convolution(x, width, 3, stride, f"{name}_conv")
    g = normalized(g, net, f"{name}_norm")
    return activated(g, net, f"{name}_activation")


def transition(x: Maps, net: Net, width: int, name: str) -> Maps:
    """The beginning of a pooled group: (N, H, W, C) → (N, H // 2, W // 2, width).

    Pooling comes before normalisation and activation, which then cost a quarter. With an odd number
    of rows or columns pooling drops the last one, so the convolution does not compute it.
    """
    x = convolution(x, width, 3, 1, f"{name}_conv", even=True)
    x = halved(x, f"{name}_pool")
    x = normalized(x, net, f"{name}_norm")
    return activated(x, net, f"{name}_activation")


def shortcut(x: Maps, net: Net, width: int, stride: int, name: str) -> Maps:
    """x itself where the block keeps its shape, otherwise x converted to the shape of G(x).

    Option A keeps every second pixel and appends zero channels: no parameters. Option B is a
    trainable 1 × 1 convolution of the same stride. Like the convolutions of G it is normalised at
    once in the basic block, and by the next block in the pre-activation block.
    """
    if stride == 1 and x.shape[-1] == width:
        return x
    if net.shortcut == "A":
        x = subsampled(x, stride, f"{name}_shortcut_pixels")
        return widened(x, width, f"{name}_shortcut_channels")
    x = convolution(x, width, 1, stride, f"{name}_shortcut_conv")
    return x if net.block == "preactivation" else normalized(x, net, f"{name}_shortcut_norm")
