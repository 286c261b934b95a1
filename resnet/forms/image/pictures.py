"""Show an image to a person."""

from typing import Any

from matplotlib.axes import Axes


def show(ax: Axes, image_hwc: Any) -> None:
    """Draw a uint8 image, (H, W, 3) or (H, W, 1), into `ax`."""
    # Colours are shown as they are; what is grey would get a colour map, from its least value on.
    ax.imshow(image_hwc, interpolation="bicubic", cmap="gray", vmin=0, vmax=255)
