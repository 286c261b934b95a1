"""An ONNX model → its int8 form, by static quantisation on validation samples."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from resnet.errors import PipelineError
from resnet.export import onnx_forward

CALIBRATION_IMAGES = 500  # at most: the ranges of the activations are theirs
CHECKED_IMAGES = 2500  # at most: others, on which the form is compared with the float one
MARGIN = 0.5  # of the disagreement that is allowed: so much is allowed on those images
BATCH = 20  # whose extremes are averaged: a single image's would stretch the range for all
OPERATION = "Conv"  # the rest, with the first and the last steps, stays float
# The weights have 7 bits: on processors without VNNI, ONNX Runtime adds two products in 16 bits,
# which 8 bits overflow. The default network's accuracy was 55 % there.
ARITHMETIC = {
    "quant_format": QuantFormat.QDQ,
    "activation_type": QuantType.QUInt8,
    "weight_type": QuantType.QInt8,
    "per_channel": True,
    "reduce_range": True,
    "op_types_to_quantize": [OPERATION],
    "extra_options": {"CalibMovingAverage": True},
}


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Samples as ONNX Runtime's calibration asks for them, batch by batch."""

    def __init__(self, name: str, images_nhwc: NDArray[np.uint8]) -> None:
        """`name` is that of the model's input."""
        starts = range(0, len(images_nhwc), BATCH)
        self._batches = iter([{name: images_nhwc[start : start + BATCH]} for start in starts])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)


def write(source: Path, images_nhwc: NDArray[np.uint8], agreement: float, path: Path) -> int:
    """Write the int8 form of the float ONNX model `source`; how many convolutions it has in float.

    These are the first 0, 1, 2, 4, …, which see the images most directly: as few as are needed for
    the share `agreement` of equal predictions with the float model, and `MARGIN`, on validation
    images other than those of the calibration. `images_nhwc`, (N, H, W, C), are all of them.
    Raises PipelineError where they are too few, and where no number of float convolutions is
    enough.
    """
    if len(images_nhwc) < 2:
        raise PipelineError(
            f"{len(images_nhwc)} validation samples: want some to calibrate it and others to check "
            "it (data.validation); test samples are never used for that"
        )
    calibration_nhwc = spread(images_nhwc[::2], CALIBRATION_IMAGES)
    checked_nhwc = spread(images_nhwc[1::2], CHECKED_IMAGES)
    expected_n = _predicted(source, checked_nhwc)
    wanted = 1 - MARGIN * (1 - agreement)
    with tempfile.TemporaryDirectory() as folder:
        prepared, ranges = Path(folder, "prepared.onnx"), Path(folder, "ranges.json")
        quant_pre_process(source, prepared, skip_optimization=True, skip_symbolic_shape=True)
        name = onnx.load(prepared).graph.input[0].name
        for floats in _float_convolutions(prepared):
            quantize_static(
                prepared,
                path,
                Calibration(name, calibration_nhwc),
                nodes_to_exclude=floats,
                calibration_cache_path=ranges,  # the same for each number of them
                **ARITHMETIC,
            )
            if _agrees(path, checked_nhwc, expected_n, wanted):
                return len(floats)
    raise PipelineError(
        f"its predictions agree with the float form's on less than {wanted:.2%} of "
        f"{len(checked_nhwc):,} validation samples, however many of the first convolutions are "
        "float"
    )


def spread(images_nhwc: NDArray[np.uint8], most: int) -> NDArray[np.uint8]:
    """`most` of the images, evenly spread; all of them where there are no more."""
    count = min(most, len(images_nhwc))
    return np.asarray(images_nhwc[np.linspace(0, len(images_nhwc) - 1, count).astype(int)])


def _float_convolutions(path: Path) -> Iterator[list[str]]:
    """The names of the first 0, 1, 2, 4, … convolutions of a model, never of all of them."""
    names = [node.name for node in onnx.load(path).graph.node if node.op_type == OPERATION]
    number = 0
    while number < max(1, len(names)):
        yield names[:number]
        number = max(1, 2 * number)


def _predicted(path: Path, images_nhwc: NDArray[np.uint8]) -> NDArray[np.intp]:
    return np.concatenate(
        [part_nk.argmax(axis=1) for part_nk in onnx_forward.batches(path, images_nhwc)]
    )


def _agrees(
    path: Path, images_nhwc: NDArray[np.uint8], expected_n: NDArray[np.intp], wanted: float
) -> bool:
    """Whether the share `wanted` of the model's predictions is as expected.

    A no needs few images: it is certain once too many predictions differ.
    """
    images, seen, different = len(images_nhwc), 0, 0
    with closing(onnx_forward.batches(path, images_nhwc)) as parts:
        for part_nk in parts:
            expected = expected_n[seen : seen + len(part_nk)]
            seen += len(part_nk)
            different += int((part_nk.argmax(axis=1) != expected).sum())
            if (images - different) / images < wanted:
                return False
    return True
