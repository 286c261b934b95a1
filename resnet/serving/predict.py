"""Score raw images with a published model: image files or parquet in, predictions out.

`Scorer` and `rows` work in memory; `score` and `read_images` read and write files around them.
"""

import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from resnet.errors import PipelineError
from resnet.evaluation.records import probability_columns
from resnet.forms.image import image_files
from resnet.forms.image.image_files import Reader
from resnet.forms.image.shape import IMAGE
from resnet.model import model_file
from resnet.model.forward import compiled, in_batches
from resnet.monitoring.features import Features
from resnet.system import disk_errors, files

BATCH = 256


class Scorer:
    """A model that is made ready to score once, for any number of calls."""

    def __init__(self, model: Any) -> None:
        """Fold a `keras.Model`; the first call compiles it."""
        self._forward = compiled(model)

    def __call__(self, images_nhwc: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probabilities (N, classes) of at least one image (N, 32, 32, 3)."""
        return in_batches(self._forward, images_nhwc, BATCH)


@dataclass(frozen=True)
class Images:
    """Images to score, all in memory (3 KiB each), and what their source says of them."""

    names: Sequence[str]  # one path per image, relative to the source if that is a folder
    images_nhwc: NDArray[np.uint8]  # (N, 32, 32, 3), red, green, blue
    actual: pa.ChunkedArray | None = None  # the source's own labels

    @property
    def hash(self) -> str:
        """SHA-256, hex, of the images' bytes."""
        return hashlib.sha256(np.ascontiguousarray(self.images_nhwc).data).hexdigest()


@dataclass(frozen=True)
class ScoredImages:
    """What was scored, and what was predicted, without images and rows."""

    images_hash: str
    features: Features


def score(
    model: Path,
    source: Path,
    out: Path,
    classes: Sequence[str],
    origin: Mapping[str, str | int | datetime],
) -> ScoredImages:
    """Score the images in `source` with the model.keras file `model`; `rows` are written to `out`.

    Raises PipelineError, and leaves `out` as it was, as `read_images` and `require_probabilities`
    do, and if `out` is a folder, one of the files that are read, no .parquet file, or cannot be
    written.
    """
    _require_writable(source, out)
    images = read_images(source)
    probabilities_nk = Scorer(model_file.load(model))(images.images_nhwc)
    require_probabilities(probabilities_nk, classes, model)
    table = rows(images, probabilities_nk, classes, origin)
    with disk_errors.explain_write_errors(out), files.replacing(out) as draft:
        parquet.write_table(table, draft)
    features = Features.of(images.images_nhwc, probabilities_nk, classes)
    return ScoredImages(images.hash, features)


def require_probabilities(
    probabilities_nk: NDArray[np.float32], classes: Sequence[str], model: object
) -> None:
    """Raise PipelineError, naming the `model`, unless each class has a probability in each row."""
    if probabilities_nk.shape[1] != len(classes):
        raise PipelineError(
            f"{model} has {probabilities_nk.shape[1]} classes, but there are {len(classes)} class "
            "names: use the model's own names"
        )
    if not np.isfinite(probabilities_nk).all():
        raise PipelineError(
            f"{model} returns NaN instead of probabilities: it is broken; use another"
        )


def rows(
    images: Images,
    probabilities_nk: NDArray[np.float32],
    classes: Sequence[str],
    origin: Mapping[str, str | int | datetime],
) -> pa.Table:
    """One row per image, in their order.

    Its columns are path, label (the name of the likeliest class), predicted (its index), confidence
    (its probability), one probability per class (p0, p1, …), a column for each entry of `origin`,
    and, if the source has labels, these as `actual`.
    """
    predicted_n = probabilities_nk.argmax(axis=1).astype(np.uint8)
    columns: dict[str, Any] = {
        "path": pa.array(images.names),
        "label": pa.array([classes[k] for k in predicted_n]),
        "predicted": predicted_n,
        "confidence": probabilities_nk.max(axis=1),
        **probability_columns(probabilities_nk),
        **{name: pa.repeat(value, len(predicted_n)) for name, value in origin.items()},
    }
    if images.actual is not None:
        columns["actual"] = images.actual
    return pa.table(columns)


def read_images(source: Path) -> Images:
    """The images in an image file, in a folder with all its folders, or in a parquet file.

    A folder's images are those that `image_files.listed` finds. A parquet file has a column
    `image`: each an encoded image (PNG, JPEG, …), read by `image_files.decode`, or a list of 3072
    integers 0 to 255, row by row, three per pixel; its columns `path` and `label` are kept.

    Raises PipelineError if an image cannot be read, naming it, and if there are no images.
    """
    if not source.exists():
        raise PipelineError(
            f"{source} does not exist: name an image, a folder of images or a parquet file"
        )
    images = _from_parquet(source) if source.suffix == ".parquet" else _from_files(source)
    if not len(images.names):
        suffixes = ", ".join(sorted(image_files.SUFFIXES))
        raise PipelineError(
            f"{source} holds no images: want files that end in {suffixes}, or a parquet file with "
            "rows"
        )
    return images


def _require_writable(source: Path, out: Path) -> None:
    """Raise PipelineError if `out` is not a .parquet file, or is one that is read from `source`."""
    if out.is_dir():
        raise PipelineError(f"{out} is a folder: name the parquet file to write")
    if source.exists() and out.exists():
        read = image_files.listed(source).values() if source.is_dir() else [source]
        if any(path.samefile(out) for path in read):  # by whatever name
            raise PipelineError(
                f"{out} is {'among the images' if source.is_dir() else 'the file'} to score, and "
                "the predictions would replace it: name another file to write (--out)"
            )
    if out.suffix != ".parquet":
        raise PipelineError(f"{out} is not a .parquet file: name one to write (--out)")


def _from_files(source: Path) -> Images:
    paths = image_files.listed(source) if source.is_dir() else {source.name: source}
    return Images(
        list(paths), image_files.read((path, path, image_files.decode) for path in paths.values())
    )


def _from_parquet(source: Path) -> Images:
    try:
        table = parquet.read_table(source)
    except (OSError, pa.ArrowException) as error:
        raise PipelineError(f"{source} cannot be read as parquet: {error}") from None
    if "image" not in table.column_names:
        raise PipelineError(
            f"{source} has the columns {', '.join(table.column_names) or '(none)'}: want one named "
            f"'image' with encoded images or with lists of {math.prod(IMAGE)} integers"
        )
    column = table["image"]
    reader = _reader(column.type)
    if reader is None:
        raise PipelineError(
            f"{source}: its column 'image' is {column.type}, want binary (encoded images) or "
            "lists of integers"
        )
    numbers = [f"row {row}" for row in range(table.num_rows)]
    return Images(
        names=table["path"].to_pylist() if "path" in table.column_names else numbers,
        images_nhwc=image_files.read(
            (f"{source}, {row}", value.as_py(), reader)
            for row, value in zip(numbers, column, strict=True)
        ),
        actual=table["label"] if "label" in table.column_names else None,
    )


def _reader(column_type: pa.DataType) -> Reader | None:
    """What turns a value of a column of this type into an image; None if nothing does."""
    if pa.types.is_binary(column_type) or pa.types.is_large_binary(column_type):
        return lambda encoded: image_files.decode(io.BytesIO(encoded))
    is_list = pa.types.is_list(column_type) or pa.types.is_large_list(column_type)
    is_list = is_list or pa.types.is_fixed_size_list(column_type)
    return _from_pixels if is_list and pa.types.is_integer(column_type.value_type) else None


def _from_pixels(values: Sequence[int]) -> NDArray[np.uint8]:
    """A list of 3072 integers 0 to 255 as an image."""
    return np.array(values, np.uint8).reshape(IMAGE)
