"""From `params.Net` to a network: raw uint8 images in, logits out.

He et al. 2015, section 4.2: a 3 × 3 convolution, groups of blocks of which each after the first
halves the maps, global average pooling, and one linear layer for the classes.
"""

from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt

from resnet.errors import PipelineError
from resnet.nets.blocks import block
from resnet.nets.layers import Normalization, convolution, normalized, rectified
from resnet.params import Net

SIDE, CHANNELS, CLASSES = 32, 3, 10  # of CIFAR-10


def build(
    net: Net,
    mean: Sequence[float],
    deviation: Sequence[float],
    *,
    seed: int = 0,
    normalization: Normalization = keras.layers.BatchNormalization,
) -> keras.Model:
    """The network: uint8 images (N, 32, 32, 3) → float32 logits (N, 10), weights as He et al. draw.

    `mean` and `deviation` are three floats each, per channel, in units of 0..255. `normalization`
    makes the batch normalisation layers. Raises PipelineError where the maps would have less than
    one pixel.
    """
    halvings = len(net.widths) - 1 + (net.stem_stride == 2)
    if 2**halvings > SIDE:
        raise PipelineError(
            f"net.widths has {len(net.widths)} groups and net.stem_stride is {net.stem_stride}: "
            f"they halve a {SIDE} × {SIDE} image {halvings} times; take fewer groups"
        )
    images = keras.Input((SIDE, SIDE, CHANNELS), dtype="uint8", name="images")
    variance = [value**2 for value in deviation]
    x = keras.layers.Normalization(mean=list(mean), variance=variance, name="standardize")(images)

    x = convolution(x, net.widths[0], 3, net.stem_stride, "stem_conv")
    if net.block == "basic":
        x = rectified(normalized(x, normalization, "stem_norm"), "stem_relu")

    for group, width in enumerate(net.widths, start=1):
        for number in range(1, net.blocks + 1):
            stride = 2 if group > 1 and number == 1 else 1
            x = block(x, net, width, stride, normalization, f"group{group}_block{number}")

    if net.block == "preactivation":
        x = rectified(normalized(x, normalization, "head_norm"), "head_relu")
    x = keras.layers.GlobalAveragePooling2D(name="head_pool")(x)
    logits = keras.layers.Dense(CLASSES, name="logits")(x)

    model = keras.Model(images, logits, name="resnet")
    initialize(model, seed)
    return model


def published(
    net: Net,
    mean: Sequence[float],
    deviation: Sequence[float],
    weights: Sequence[npt.NDArray[np.float32]],
) -> keras.Model:
    """The form that is served: trained weights in Keras's own layers, probabilities out.

    uint8 images (N, 32, 32, 3) → float32 probabilities (N, 10). `weights` are in the order of
    `get_weights` of `build`'s network, whatever made its normalisation.
    """
    model = build(net, mean, deviation)
    model.set_weights(weights)
    probabilities = keras.layers.Softmax(name="probabilities")(model.output)
    return keras.Model(model.input, probabilities, name="resnet")


def initialize(model: keras.Model, seed: int) -> None:
    """Draw every kernel from a normal distribution of variance 2 / inputs (He et al. 2015b).

    "Delving Deep into Rectifiers", equation 10. Kernel k's numbers are a function of (seed, k)
    drawn by numpy, so that every backend begins with the same weights. Other weights stay as
    Keras makes them: scales one, offsets and biases zero.
    """
    kernels = [weight for weight in model.weights if weight.path.endswith("/kernel")]
    for number, kernel in enumerate(kernels):
        inputs = int(np.prod(kernel.shape[:-1]))
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, number])))
        values = random.standard_normal(kernel.shape, dtype=np.float32)
        kernel.assign(values * np.float32(np.sqrt(2 / inputs)))
