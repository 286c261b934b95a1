"""Read the images to score: an image, a folder or a parquet file in, images in chunks out.

Only one chunk is in memory, however many images there are.
"""

import io
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from resnet.errors import PipelineError
from resnet.forms.image import image_files
from resnet.forms.image.shape import IMAGE

PIXELS = math.prod(IMAGE)
COLUMNS = ("image", "path", "label")
BUFFER = 1 << 20  # bytes of a column that are read at a time
READ = 16 << 20  # bytes of encoded images in memory at a time, unless one of them has more
ROWS = 16  # of these at most: an image that is stored once for many rows is copied for each of them
LARGEST = 256 << 20  # bytes per encoded image: one of 89 million pixels, uncompressed


@dataclass(frozen=True)
class Images:
    """Some of the images to score, and what their source says of them."""

    names: pa.Array  # one path per image, relative to the source if that is a folder
    images_nhwc: NDArray[np.uint8]  # (n, 32, 32, 3), red, green, blue
    actual: pa.Array | None = None  # the source's own labels


class Source(Protocol):
    """At least one image to score."""

    @property
    def summary(self) -> str:
        """What will be scored, and what is left out."""

    def paths(self) -> Iterator[Path]:
        """The files that are read."""

    def chunks(self, size: int) -> Iterator[Images]:
        """`size` images at a time, a power of two; the last time what is left.

        Raises PipelineError with the name of the first that cannot be read.
        """


def find(path: Path) -> Source:
    """The images in an image file, in a folder with all its folders, or in a parquet file.

    A folder's images are those of `image_files.listing`. A parquet file has a column `image`: each
    an encoded image (PNG, JPEG, …), read by `image_files.decode`, or a list of 3072 integers 0 to
    255, row by row, three per pixel; its columns `path` and `label` are kept.

    Raises PipelineError if there are no images, or they have another form.
    """
    if not path.exists():
        raise PipelineError(
            f"{path} does not exist: name an image, a folder of images or a parquet file"
        )
    if path.is_dir():
        return _folder(path)
    return _table(path) if path.suffix == ".parquet" else ImageFiles(path.parent, [path.name])


@dataclass(frozen=True)
class ImageFiles:
    """Image files: `names` are their paths in `folder`."""

    folder: Path
    names: Sequence[str]
    others: str = ""  # the files there that are not read, in words

    @property
    def summary(self) -> str:
        if len(self.names) == 1:
            return f"1 image: {self.folder / self.names[0]}{self.others}"
        return f"{len(self.names):,} images in {self.folder}{self.others}"

    def paths(self) -> Iterator[Path]:
        return (self.folder / name for name in self.names)

    def chunks(self, size: int) -> Iterator[Images]:
        for start in range(0, len(self.names), size):
            names = self.names[start : start + size]
            paths = (self.folder / name for name in names)
            yield Images(
                pa.array([_text(name) for name in names]),
                image_files.read((path, path, image_files.decode) for path in paths),
            )


def _folder(path: Path) -> ImageFiles:
    listing = image_files.listing(path, follow_links=True)
    others = f"; not read: {listing.first_other}" if listing.others else ""
    if not listing.images:
        suffixes = ", ".join(sorted(image_files.SUFFIXES))
        raise PipelineError(f"{path} holds no images{others}; want files that end in {suffixes}")
    return ImageFiles(path, listing.images, others)


def _text(name: str) -> str:
    """A file's name, also if its bytes are not UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Table:
    """A parquet file whose column `image` holds images."""

    path: Path
    rows: int
    columns: Sequence[str]  # of `COLUMNS`
    encoded: bool  # the images, else lists of integers
    rows_at_once: int

    @property
    def summary(self) -> str:
        return f"{self.rows:,} rows of {self.path}"

    def paths(self) -> Iterator[Path]:
        return iter([self.path])

    def chunks(self, size: int) -> Iterator[Images]:
        rows = min(size, self.rows_at_once)
        parts = self._parts(rows)
        while chunk := list(islice(parts, size // rows)):
            yield _together(chunk)

    def _parts(self, rows: int) -> Iterator[Images]:
        first = 0
        for batch in self._batches(rows):
            numbers = [f"row {row}" for row in range(first, first + len(batch))]
            read = _decoded if self.encoded else _from_pixels
            yield Images(
                batch["path"] if "path" in self.columns else pa.array(numbers),
                read(batch["image"], [f"{self.path}, {number}" for number in numbers]),
                batch["label"] if "label" in self.columns else None,
            )
            first += len(batch)

    def _batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        try:
            with parquet.ParquetFile(self.path, pre_buffer=False, buffer_size=BUFFER) as file:
                yield from file.iter_batches(rows, columns=list(self.columns))
        except (OSError, pa.ArrowException) as error:
            raise PipelineError(f"{self.path} cannot be read as parquet: {error}") from None


def _table(path: Path) -> Table:
    try:
        with parquet.ParquetFile(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
    except (OSError, pa.ArrowException) as error:
        raise PipelineError(f"{path} cannot be read as parquet: {error}") from None
    if "image" not in schema.names:
        raise PipelineError(
            f"{path} has the columns {', '.join(schema.names) or '(none)'}: want one named "
            f"'image' with encoded images or with lists of {PIXELS} integers"
        )
    column_type = schema.field("image").type
    encoded = _is_encoded(column_type)
    if not encoded and not _is_pixels(column_type):
        raise PipelineError(
            f"{path}: its column 'image' is {column_type}, want binary (encoded images) or "
            "lists of integers"
        )
    if not metadata.num_rows:
        raise PipelineError(f"{path} holds no images: want a parquet file with rows")
    mean = _mean_bytes(path, metadata, encoded)
    rows = min(ROWS, 2 ** int(math.log2(max(1, READ // mean)))) if encoded else READ // PIXELS
    columns = [name for name in COLUMNS if name in schema.names]
    return Table(path, metadata.num_rows, columns, encoded, rows)


def _is_encoded(column_type: pa.DataType) -> bool:
    if pa.types.is_dictionary(column_type):  # as some writers store a column with few values
        return _is_encoded(column_type.value_type)
    return bool(pa.types.is_binary(column_type) or pa.types.is_large_binary(column_type))


def _is_pixels(column_type: pa.DataType) -> bool:
    is_list = pa.types.is_list(column_type) or pa.types.is_large_list(column_type)
    is_list = is_list or pa.types.is_fixed_size_list(column_type)
    return bool(is_list and pa.types.is_integer(column_type.value_type))


def _mean_bytes(path: Path, metadata: parquet.FileMetaData, encoded: bool) -> int:
    """The mean bytes of an image in the row group where it is greatest, at least 1.

    A page of a few bytes can stand for gigabytes, so this comes before the first is read. Raises
    PipelineError where a row has more bytes, or more integers, than an image can have.
    """
    largest = 1
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        rows = max(1, group.num_rows)
        for column in map(group.column, range(group.num_columns)):
            name = column.path_in_schema.partition(".")[0]
            mean = column.total_uncompressed_size // rows
            if name in COLUMNS and mean > LARGEST:
                raise PipelineError(
                    f"{path}: its column '{name}' has {mean:,} bytes per row, at most {LARGEST:,} "
                    "are read: make the images smaller"
                )
            if name == "image" and not encoded and column.num_values > rows * PIXELS:
                raise PipelineError(
                    f"{path}: its column 'image' has {column.num_values:,} integers in "
                    f"{group.num_rows:,} rows, want {PIXELS} in each"
                )
            largest = max(largest, mean if name == "image" else 0)
    return largest


def _together(parts: Sequence[Images]) -> Images:
    """The images of all parts, in their order."""
    return Images(
        pa.chunked_array([part.names for part in parts]),
        np.concatenate([part.images_nhwc for part in parts]),
        None if parts[0].actual is None else pa.chunked_array([part.actual for part in parts]),
    )


def _decoded(column: pa.Array, names: Sequence[str]) -> NDArray[np.uint8]:
    """Encoded images, (n, 32, 32, 3); `names` are how errors name them."""
    cells = zip(names, column, strict=True)
    return image_files.read((name, cell.as_py(), _decode) for name, cell in cells)


def _decode(encoded: bytes) -> NDArray[np.uint8]:
    return image_files.decode(io.BytesIO(encoded))


def _from_pixels(column: pa.Array, names: Sequence[str]) -> NDArray[np.uint8]:
    """Lists of 3072 integers 0 to 255 as images, (n, 32, 32, 3)."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    if len(short := np.flatnonzero(lengths != PIXELS)):
        raise _no_image(names[short[0]], f"it has {lengths[short[0]]} integers")
    values = column.flatten()
    right = pc.and_(pc.greater_equal(values, 0), pc.less_equal(values, 255))
    wrong = np.flatnonzero(~pc.fill_null(right, False).to_numpy(zero_copy_only=False))
    if len(wrong):
        raise _no_image(names[wrong[0] // PIXELS], f"one of its integers is {values[wrong[0]]}")
    return np.asarray(values.to_numpy().astype(np.uint8).reshape(-1, *IMAGE))


def _no_image(name: str, found: str) -> PipelineError:
    return PipelineError(
        f"{name} is not an image that can be read: {found}, want {PIXELS} of 0 to 255"
    )
