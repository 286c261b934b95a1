"""`params.Net` → a network: raw uint8 images in, logits out.

He et al. 2015, section 4.2: a 3 × 3 convolution, groups of blocks (each group after the first
halves the maps), global average pooling, and one linear layer for the classes.
"""

from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt
from keras.src.ops.numpy import Flip, Pad

from resnet.errors import PipelineError
from resnet.forms import front
from resnet.forms.data_spec import DataSpec
from resnet.forms.names import NOUNS
from resnet.model import temperature as temperatures
from resnet.nets import whitening
from resnet.nets.blocks import group
from resnet.nets.layers import Maps, activated, convolution, normalized
from resnet.params import Net


def build(net: Net, data: DataSpec, *, seed: int = 0) -> keras.Model:
    """The network with initial weights: uint8 samples (N, …) → float32 logits (N, K).

    Raises PipelineError where the maps would have less than one pixel.
    """
    samples = keras.Input(data.shape, dtype="uint8", name=NOUNS[data.form])
    x = front.of(data.form).maps(samples, data)
    _require_room(x, net)

    x = stem(x, net)
    for number in range(1, len(net.widths) + 1):
        x = group(x, net, number)
    logits = head(x, net, data.classes)

    model = keras.Model(samples, logits, name="resnet")
    initialize(model, net, seed)
    return model


def _require_room(x: Maps, net: Net) -> None:
    """Raise PipelineError where the maps would have less than one pixel."""
    halvings = len(net.widths) - (net.block != "pooled") + (net.stem_stride == 2)
    height, width = x.shape[1:3]
    if 2**halvings > min(height, width):
        raise PipelineError(
            f"net.widths has {len(net.widths)} groups and net.stem_stride is {net.stem_stride}: "
            f"they halve maps of {height} × {width} {halvings} times; take fewer groups"
        )


def stem(x: Maps, net: Net) -> Maps:
    """The first convolution: standardised images (N, H, W, C) → maps (N, H', W', channels).

    A whitening stem is frozen: its kernel is computed from the training images (see `whiten`).
    """
    if net.stem == "whitening":
        layer = keras.layers.Conv2D(
            whitening.width(x.shape[-1]),
            whitening.SIDE,
            strides=net.stem_stride,
            use_bias=False,
            trainable=False,
            name="stem_whitening",
        )
        return activated(layer(x), net, "stem_activation")
    x = convolution(x, net.widths[0], 3, net.stem_stride, "stem_conv")
    if net.block == "preactivation":
        return x
    return activated(normalized(x, net, "stem_norm"), net, "stem_activation")


def head(x: Maps, net: Net, classes: int) -> Maps:
    """Maps (N, H, W, C) → logits (N, classes): global pooling and a linear layer.

    He et al. pool by the average of each map, the pooled family by its maximum.
    """
    if net.block == "preactivation":
        x = activated(normalized(x, net, "head_norm"), net, "head_activation")
    pool = (
        keras.layers.GlobalMaxPooling2D
        if net.block == "pooled"
        else keras.layers.GlobalAveragePooling2D
    )
    return keras.layers.Dense(classes, dtype="float32", name="logits")(pool(name="head_pool")(x))


def published(net: Net, data: DataSpec, weights: Sequence[npt.NDArray[np.float32]]) -> keras.Model:
    """The published form: trained weights in Keras's own layers, probabilities out.

    uint8 images (N, H, W, C) → float32 probabilities (N, K). `weights` are in the order of
    `get_weights` of `build`'s network, whichever layer classes trained them. The logits are the
    mean of those of `net.views` views of an image.
    """
    model = build(net, data)
    model.set_weights(weights)
    images, logits = model.input, model.output
    if net.views > 1:
        logits = keras.layers.Average(name="views")([model(view) for view in views(images, net)])
    probabilities = keras.layers.Softmax(name="probabilities")(logits)
    return keras.Model(images, probabilities, name="resnet")


def logits_of(model: keras.Model) -> keras.Model:
    """Images → the logits (N, K) from which a `published` model computes its probabilities.

    They are divided by the temperature if it has one. It shares the model's weights.
    """
    return keras.Model(model.input, model.get_layer("probabilities").input)


def calibrated(model: keras.Model, temperature: float) -> keras.Model:
    """A `published` model with its logits divided by `temperature`. It shares the weights."""
    # With several views it is their mean that is divided, because that gives the probabilities: the
    # mean is less sure than each view, so a temperature fitted to single views would not fit it.
    divided = keras.layers.Rescaling(1 / temperature, name=temperatures.LAYER)
    logits = divided(model.get_layer("probabilities").input)
    probabilities = keras.layers.Softmax(name="probabilities")(logits)
    return keras.Model(model.input, probabilities, name=model.name)


def views(images: Maps, net: Net) -> list[Maps]:
    """An image and its mirror image; with six views both also a pixel up and left, down and right.

    (N, H, W, C) → `net.views` tensors of this shape. Pixels that a shift moves in are reflected
    at the edge (Jordan 2024, section 3.5, which gives the views in the middle a greater weight).
    """
    # `keras.ops.flip` and `pad` number their operations through the process: a model that is built
    # second would have another architecture, and another hash. Their classes take a name.
    shifted = [images]
    if net.views == 6:
        pad = Pad([(0, 0), (1, 1), (1, 1), (0, 0)], mode="reflect", name="pad")
        padded = pad(images, constant_values=None)
        for number, rows in enumerate([(0, 2), (2, 0)], start=1):
            shifted.append(keras.layers.Cropping2D((rows, rows), name=f"shift{number}")(padded))
    names = ["flip", "flip_1", "flip_2"]
    mirrored = [Flip(axis=2, name=name)(view) for view, name in zip(shifted, names, strict=False)]
    return [view for pair in zip(shifted, mirrored, strict=True) for view in pair]


def whiten(model: keras.Model, images_nhwc: npt.NDArray[np.uint8]) -> None:
    """Set the kernel of a whitening stem from uint8 training images (N, H, W, C)."""
    standardize, stem = model.get_layer("standardize"), model.get_layer("stem_whitening")
    mean, variance = (np.ravel(values) for values in (standardize.mean, standardize.variance))
    stem.set_weights([whitening.kernel(images_nhwc, mean, np.sqrt(variance))])


def initialize(model: keras.Model, net: Net, seed: int) -> None:
    """Draw every kernel from a normal distribution of variance 2 / inputs (He et al. 2015b).

    "Delving Deep into Rectifiers", equation 10. NumPy draws kernel k as a function of (seed, k), so
    that every backend starts from the same weights. Other weights keep Keras's initial values:
    scales one, offsets and biases zero.

    In the pooled family convolutions are initialised to the identity (`set_dirac`), and the logits
    are small at first (Jordan 2024, section 3.3; Xiao et al. 2018).
    """
    kernels = [weight for weight in model.trainable_variables if weight.path.endswith("/kernel")]
    for number, kernel in enumerate(kernels):
        inputs = int(np.prod(kernel.shape[:-1]))
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, number])))
        values = random.standard_normal(kernel.shape, dtype=np.float32)
        if net.block == "pooled" and len(kernel.shape) == 2:
            kernel.assign(values / np.float32(inputs))
            continue
        values *= np.float32(np.sqrt(2 / inputs))
        if net.block == "pooled":
            set_dirac(values)
        kernel.assign(values)


def set_dirac(kernel: npt.NDArray[np.float32]) -> None:
    """Dirac initialisation: change a kernel (k, k, inputs, outputs) so that output c is input c.

    Outputs without an input of the same number keep their weights.
    """
    side, _, inputs, outputs = kernel.shape
    shared = range(min(inputs, outputs))
    kernel[:, :, :, shared] = 0
    kernel[side // 2, side // 2, shared, shared] = 1
