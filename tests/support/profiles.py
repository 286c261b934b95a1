"""Profiles of data, as ingest would leave them."""

from collections.abc import Sequence

from resnet.data.profile import Profile


def of_images(classes: Sequence[str], shape: Sequence[int] = (32, 32, 3)) -> Profile:
    """The profile of images of that shape and of these classes."""
    return Profile.of({"form": "image", "shape": list(shape), "classes": list(classes)})
