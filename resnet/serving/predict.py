"""Score raw images with a published model: image files or parquet in, predictions out."""

import hashlib
import io
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
from resnet.evaluation.values import probability_columns
from resnet.forms.image import image_files
from resnet.forms.image.image_files import Reader
from resnet.forms.image.shape import IMAGE
from resnet.model import model_file
from resnet.model.forward import compiled, in_batches
from resnet.monitoring.features import Features
from resnet.system import disk_errors, files

BATCH = 256


@dataclass(frozen=True)
class Images:
    """Images to score, all in memory (3 KiB each), and what their source says of them."""

    names: Sequence[str]  # a path an image, relative to the source where that is a folder
    images_nhwc: NDArray[np.uint8]  # (N, 32, 32, 3), red, green, blue
    actual: pa.ChunkedArray | None = None  # the source's own labels


@dataclass(frozen=True)
class Summary:
    """What was said of a source of images, and what they look like."""

    images_hash: str  # SHA-256, hex, of the images' bytes
    features: Features


def score(
    model: Path,
    source: Path,
    out: Path,
    classes: Sequence[str],
    origin: Mapping[str, str | int | datetime],
) -> Summary:
    """Score the images in `source` with the model.keras file `model`; predictions go to `out`.

    `out` is a parquet file with the columns path, label (the name of the likeliest class),
    predicted (its index), confidence (its probability), a probability a class (p0, p1, …), a column
    for each entry of `origin`, and, where the source has labels, these as `actual`.

    Raises PipelineError, and leaves `out` as it was, where `read_images` does, or where `out` is a
    folder, one of the files that are read, ends in anything but .parquet or cannot be written, or
    the model knows another number of classes or answers NaN.
    """
    if out.is_dir():
        raise PipelineError(f"{out} is a folder: name the parquet file to write")
    _must_be_apart(source, out)
    if out.suffix != ".parquet":
        raise PipelineError(f"{out} is to hold parquet: name a file that ends in .parquet")
    images = read_images(source)
    probabilities_nk = predict(model_file.load(model), images.images_nhwc)
    if probabilities_nk.shape[1] != len(classes):
        raise PipelineError(
            f"{model} knows {probabilities_nk.shape[1]} classes, and there are names for "
            f"{len(classes)}: take the model's own names"
        )
    if not np.isfinite(probabilities_nk).all():
        raise PipelineError(f"{model} answers NaN, no probabilities: it is broken; take another")
    table = _table(images, probabilities_nk, classes, origin)
    with disk_errors.writing(out), files.replacing(out) as draft:
        parquet.write_table(table, draft)
    return Summary(
        images_hash=hashlib.sha256(np.ascontiguousarray(images.images_nhwc).data).hexdigest(),
        features=Features.of(images.images_nhwc, probabilities_nk, classes),
    )


def predict(model: Any, images_nhwc: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities (N, classes) that a `keras.Model` gives to images (N, 32, 32, 3)."""
    return in_batches(compiled(model), images_nhwc, BATCH)


def read_images(source: Path) -> Images:
    """The images in an image file, in a folder with all its folders, or in a parquet file.

    A folder's images are those that `image_files.listed` finds. A parquet file has a column
    `image`: each an encoded image (PNG, JPEG, …) or a list of 3072 integers 0 to 255, row by row,
    three a pixel; its columns `path` and `label` are kept. Of an encoded image is made what
    `image_files.decode` says.

    Raises PipelineError, naming the image, where one cannot be read, and where there are none.
    """
    if not source.exists():
        raise PipelineError(
            f"{source} is not there: name an image, a folder of images or a parquet file"
        )
    images = _from_parquet(source) if source.suffix == ".parquet" else _from_files(source)
    if not len(images.names):
        suffixes = ", ".join(sorted(image_files.SUFFIXES))
        raise PipelineError(
            f"{source} holds no images: want files that end in {suffixes}, or a parquet file with "
            "rows"
        )
    return images


def _must_be_apart(source: Path, out: Path) -> None:
    """Raise PipelineError where `out`, by whatever name, is one of the files read from `source`."""
    if not (source.exists() and out.exists()):
        return
    read = image_files.listed(source).values() if source.is_dir() else [source]
    if any(path.samefile(out) for path in read):
        raise PipelineError(
            f"{out} is {'among the images' if source.is_dir() else 'the file'} to score, and the "
            "predictions would replace it: name another file to write (--out)"
        )


def _from_files(source: Path) -> Images:
    found = {source.name: source}
    if source.is_dir():
        found = image_files.listed(source)
    return Images(
        list(found), image_files.read((path, path, image_files.decode) for path in found.values())
    )


def _from_parquet(source: Path) -> Images:
    try:
        table = parquet.read_table(source)
    except (OSError, pa.ArrowException) as error:
        raise PipelineError(f"{source} cannot be read as parquet: {error}") from None
    if "image" not in table.column_names:
        raise PipelineError(
            f"{source} has the columns {', '.join(table.column_names) or '(none)'}: want one named "
            "'image' with encoded images or with lists of 3072 integers"
        )
    column = table["image"]
    reader = _reader(column.type)
    if reader is None:
        raise PipelineError(
            f"{source}: its column 'image' is {column.type}, want binary (encoded images) or "
            "lists of integers"
        )
    rows = [f"row {row}" for row in range(table.num_rows)]
    return Images(
        names=table["path"].to_pylist() if "path" in table.column_names else rows,
        images_nhwc=image_files.read(
            (f"{source}, {row}", value.as_py(), reader)
            for row, value in zip(rows, column, strict=True)
        ),
        actual=table["label"] if "label" in table.column_names else None,
    )


def _reader(kind: pa.DataType) -> Reader | None:
    """What turns a value of a column of type `kind` into an image; None where nothing does."""
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return lambda encoded: image_files.decode(io.BytesIO(encoded))
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if (listed or pa.types.is_fixed_size_list(kind)) and pa.types.is_integer(kind.value_type):
        return _pixels
    return None


def _pixels(values: Sequence[int]) -> NDArray[np.uint8]:
    """A list of 3072 integers 0 to 255 as an image."""
    return np.array(values, np.uint8).reshape(IMAGE)


def _table(
    images: Images,
    probabilities_nk: NDArray[np.float32],
    classes: Sequence[str],
    origin: Mapping[str, str | int | datetime],
) -> pa.Table:
    predicted_n = probabilities_nk.argmax(axis=1).astype(np.uint8)
    rows = len(predicted_n)
    columns: dict[str, Any] = {
        "path": pa.array(images.names),
        "label": pa.array([classes[k] for k in predicted_n]),
        "predicted": predicted_n,
        "confidence": probabilities_nk.max(axis=1),
        **probability_columns(probabilities_nk),
        **{name: pa.repeat(value, rows) for name, value in origin.items()},
    }
    if images.actual is not None:
        columns["actual"] = images.actual
    return pa.table(columns)
