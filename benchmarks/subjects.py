"""What is trained and scored: networks, and random images.

Speed does not depend on the contents of the images.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from resnet import params
from resnet.checkout import project
from resnet.forms.data_spec import DataSpec

DATA = DataSpec("image", (32, 32, 3), [125.0] * 3, [62.0] * 3, classes=10)


def paper(depth: int, widths: Sequence[int]) -> params.Params:
    """The preset `paper` with another network."""
    root = project.find_root()
    net = [f"net.depth={depth}", f"net.widths={list(widths)}"]
    return params.check(params.merge(params.read(root), root, "paper", net))


def images(count: int) -> tuple[Any, Any]:
    """uint8 images (count, 32, 32, 3) and labels (count,)."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, 32, 32, 3), np.uint8)
    return pixels, random.integers(0, 10, count, np.uint8)
