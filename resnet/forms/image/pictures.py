"""Show an image to a person."""

from typing import Any

from matplotlib.axes import Axes


def show(ax: Axes, image_hwc: Any) -> None:
    """Draw a uint8 image (H, W, 3) into `ax`."""
    ax.imshow(image_hwc, interpolation="bicubic")
