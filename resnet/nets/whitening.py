"""The whitening stem: training images → the kernel of a convolution that decorrelates patches.

Page 2018, "How to Train Your ResNet 8"; Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single
GPU", section 3.2.
"""

import numpy as np
import numpy.typing as npt

SIDE = 2  # pixels of a patch
IMAGES = 5000  # enough for the covariance of the patches
EPSILON = 5e-4  # added to the variances, so that components without variance are not amplified


def width(channels: int) -> int:
    """The stem's output channels: each principal component of a patch, and its negative."""
    return 2 * channels * SIDE**2


def kernel(
    images_nhwc: npt.NDArray[np.uint8], mean: npt.ArrayLike, deviation: npt.ArrayLike
) -> npt.NDArray[np.float32]:
    """The stem's kernel, float32 (SIDE, SIDE, C, `width(C)`), from uint8 images (N, H, W, C).

    Its output channels are the principal components of the standardised images' patches, each
    divided by its deviation, and then their negatives, so that an activation that cuts off negative
    values loses nothing. `mean` and `deviation` are those of the network's first layer.
    """
    x = (images_nhwc[:IMAGES] - np.asarray(mean, np.float32)) / np.asarray(deviation, np.float32)
    channels = x.shape[-1]
    rows, columns = (side - SIDE + 1 for side in x.shape[1:3])
    patches = np.concatenate(
        [x[:, i : i + rows, j : j + columns] for i in range(SIDE) for j in range(SIDE)], axis=-1
    ).reshape(-1, SIDE * SIDE * channels)
    covariance = (patches.T @ patches).astype(np.float64) / len(patches)
    variances, components = np.linalg.eigh(covariance)
    # A component is defined up to its sign: the entry of greatest magnitude is made positive.
    greatest = np.abs(components).argmax(axis=0)
    components *= np.sign(components[greatest, range(len(variances))])
    whitening = components / np.sqrt(variances + EPSILON)
    both = np.concatenate([whitening, -whitening], axis=1)
    return both.reshape(SIDE, SIDE, channels, width(channels)).astype(np.float32)
