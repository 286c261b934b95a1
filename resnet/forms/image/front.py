"""Raw images → maps, whose channels have mean 0 and deviation 1 over the training images."""

from typing import Any

import keras

from resnet.forms.data_spec import DataSpec


def maps(images_nhwc: Any, data: DataSpec) -> Any:
    """Images uint8 (N, H, W, C) → float32 of the same shape."""
    variance = [value**2 for value in data.deviation]
    return keras.layers.Normalization(
        mean=list(data.mean), variance=variance, dtype="float32", name="standardize"
    )(images_nhwc)
