"""Read the samples to score: a file, a folder or a parquet file in, samples in chunks out.

Only one chunk is in memory, however many samples there are.
"""

import io
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from resnet.data.profile import Profile
from resnet.errors import PipelineError
from resnet.forms import files, sample_files
from resnet.forms.names import NOUNS, ONE, counted

OTHER_COLUMNS = ("path", "label")
BUFFER = 1 << 20  # bytes of a column that are read at a time
READ = 16 << 20  # bytes of encoded samples in memory at a time, unless one of them has more
ROWS = 16  # of these at most: a sample that is stored once for many rows is copied for each of them
LARGEST = 256 << 20  # bytes per encoded sample: an image of 89 million pixels, uncompressed


@dataclass(frozen=True)
class Samples:
    """Some of the samples to score, and what their source says of them."""

    names: pa.Array  # one path per sample, relative to the source if that is a folder
    images_nhwc: NDArray[np.uint8]  # (n, …), of the shape that the model takes
    actual: pa.Array | None = None  # the source's own labels


class Source(Protocol):
    """At least one sample to score."""

    @property
    def summary(self) -> str:
        """What will be scored, and what is left out."""

    def paths(self) -> Iterator[Path]:
        """The files that are read."""

    def chunks(self, size: int) -> Iterator[Samples]:
        """`size` images at a time, a power of two; the last time what is left.

        Raises PipelineError with the name of the first that cannot be read.
        """


def find(path: Path, data: Profile) -> Source:
    """The samples in a file, in a folder with all its folders, or in a parquet file.

    They are of the form and shape of `data`. A folder's samples are those of
    `sample_files.listing`. A parquet file has the form's column, say `image`: each an encoded
    sample (PNG, JPEG, …), read by the form's `decode`, or a list of all its bytes, integers 0 to
    255, in C order (for images row by row, three per pixel); its columns `path` and `label` are
    kept.

    Raises PipelineError if there are no samples, or they have another form.
    """
    if not path.exists():
        raise PipelineError(
            f"{path} does not exist: name {ONE[data.form]}, a folder of {NOUNS[data.form]} or a "
            "parquet file"
        )
    if path.is_dir():
        return _folder(path, data)
    if path.suffix == ".parquet":
        return _table(path, data)
    return SampleFiles(path.parent, [path.name], data)


@dataclass(frozen=True)
class SampleFiles:
    """Files of one sample each: `names` are their paths in `folder`."""

    folder: Path
    names: Sequence[str]
    data: Profile
    others: str = ""  # the files there that are not read, in words

    @property
    def summary(self) -> str:
        count = counted(self.data.form, len(self.names))
        if len(self.names) == 1:
            return f"{count}: {self.folder / self.names[0]}{self.others}"
        return f"{count} in {self.folder}{self.others}"

    def paths(self) -> Iterator[Path]:
        return (self.folder / name for name in self.names)

    def chunks(self, size: int) -> Iterator[Samples]:
        for start in range(0, len(self.names), size):
            names = self.names[start : start + size]
            paths = (self.folder / name for name in names)
            yield Samples(
                pa.array([_text(name) for name in names]),
                _read(((path, path) for path in paths), self.data),
            )


def _read(entries: Iterable[tuple[object, Any]], data: Profile) -> NDArray[np.uint8]:
    """Each (name, file) of `entries` as a sample: (n, …)."""
    decode, shape = files.of(data.form).decode, data.shape

    def reader(file: Path | bytes) -> NDArray[np.uint8]:
        return decode(file if isinstance(file, Path) else io.BytesIO(file), shape)

    readable = ((name, file, reader) for name, file in entries)
    return sample_files.read(readable, ONE[data.form], shape)


def _folder(path: Path, data: Profile) -> SampleFiles:
    wanted = files.of(data.form).SUFFIXES
    listing = sample_files.listing(path, wanted, follow_links=True)
    others = f"; not read: {listing.first_other}" if listing.others else ""
    if not listing.samples:
        raise PipelineError(
            f"{path} holds no {NOUNS[data.form]}{others}; want files that end in "
            f"{', '.join(sorted(wanted))}"
        )
    return SampleFiles(path, listing.samples, data, others)


def _text(name: str) -> str:
    """A file's name, also if its bytes are not UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Table:
    """A parquet file with a column of samples."""

    path: Path
    data: Profile
    rows: int
    columns: Sequence[str]  # that are read
    encoded: bool  # the samples, else lists of integers
    rows_at_once: int

    @property
    def summary(self) -> str:
        return f"{self.rows:,} rows of {self.path}"

    def paths(self) -> Iterator[Path]:
        return iter([self.path])

    def chunks(self, size: int) -> Iterator[Samples]:
        rows = min(size, self.rows_at_once)
        parts = self._parts(rows)
        while chunk := list(islice(parts, size // rows)):
            yield _together(chunk)

    def _parts(self, rows: int) -> Iterator[Samples]:
        first = 0
        for batch in self._batches(rows):
            numbers = [f"row {row}" for row in range(first, first + len(batch))]
            read = _decoded if self.encoded else _from_integers
            column = batch[files.of(self.data.form).COLUMN]
            yield Samples(
                batch["path"] if "path" in self.columns else pa.array(numbers),
                read(column, [f"{self.path}, {number}" for number in numbers], self.data),
                batch["label"] if "label" in self.columns else None,
            )
            first += len(batch)

    def _batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        try:
            with parquet.ParquetFile(self.path, pre_buffer=False, buffer_size=BUFFER) as file:
                yield from file.iter_batches(rows, columns=list(self.columns))
        except (OSError, pa.ArrowException) as error:
            raise PipelineError(f"{self.path} cannot be read as parquet: {error}") from None


def _table(path: Path, data: Profile) -> Table:
    wanted, noun, size = files.of(data.form).COLUMN, NOUNS[data.form], math.prod(data.shape)
    try:
        with parquet.ParquetFile(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
    except (OSError, pa.ArrowException) as error:
        raise PipelineError(f"{path} cannot be read as parquet: {error}") from None
    if wanted not in schema.names:
        raise PipelineError(
            f"{path} has the columns {', '.join(schema.names) or '(none)'}: want one named "
            f"'{wanted}' with encoded {noun} or with lists of {size} integers"
        )
    column_type = schema.field(wanted).type
    encoded = _is_encoded(column_type)
    if not encoded and not _is_integers(column_type):
        raise PipelineError(
            f"{path}: its column '{wanted}' is {column_type}, want binary (encoded {noun}) or "
            "lists of integers"
        )
    if not metadata.num_rows:
        raise PipelineError(f"{path} holds no {noun}: want a parquet file with rows")
    columns = [wanted, *(name for name in OTHER_COLUMNS if name in schema.names)]
    mean = _mean_bytes(path, metadata, columns, None if encoded else size)
    rows = min(ROWS, 2 ** int(math.log2(max(1, READ // mean)))) if encoded else READ // size
    return Table(path, data, metadata.num_rows, columns, encoded, max(1, rows))


def _is_encoded(column_type: pa.DataType) -> bool:
    if pa.types.is_dictionary(column_type):  # as some writers store a column with few values
        return _is_encoded(column_type.value_type)
    return bool(pa.types.is_binary(column_type) or pa.types.is_large_binary(column_type))


def _is_integers(column_type: pa.DataType) -> bool:
    is_list = pa.types.is_list(column_type) or pa.types.is_large_list(column_type)
    is_list = is_list or pa.types.is_fixed_size_list(column_type)
    return bool(is_list and pa.types.is_integer(column_type.value_type))


def _mean_bytes(
    path: Path, metadata: parquet.FileMetaData, columns: Sequence[str], integers: int | None
) -> int:
    """The mean bytes of a sample in the row group where it is greatest, at least 1.

    The first of `columns` holds the samples, encoded or as so many `integers`. A page of a few
    bytes can stand for gigabytes, so this comes before the first is read. Raises PipelineError
    where a row has more bytes, or more integers, than a sample can have.
    """
    largest = 1
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        rows = max(1, group.num_rows)
        for column in map(group.column, range(group.num_columns)):
            name = column.path_in_schema.partition(".")[0]
            mean = column.total_uncompressed_size // rows
            if name in columns and mean > LARGEST:
                raise PipelineError(
                    f"{path}: its column '{name}' has {mean:,} bytes per row, at most {LARGEST:,} "
                    "are read: make them smaller"
                )
            if name == columns[0] and integers and column.num_values > rows * integers:
                raise PipelineError(
                    f"{path}: its column '{name}' has {column.num_values:,} integers in "
                    f"{group.num_rows:,} rows, want {integers} in each"
                )
            largest = max(largest, mean if name == columns[0] else 0)
    return largest


def _together(parts: Sequence[Samples]) -> Samples:
    """The samples of all parts, in their order."""
    return Samples(
        pa.chunked_array([part.names for part in parts]),
        np.concatenate([part.images_nhwc for part in parts]),
        None if parts[0].actual is None else pa.chunked_array([part.actual for part in parts]),
    )


def _decoded(column: pa.Array, names: Sequence[str], data: Profile) -> NDArray[np.uint8]:
    """Encoded samples, (n, …); `names` are how errors name them."""
    cells = zip(names, column, strict=True)
    return _read(((name, cell.as_py()) for name, cell in cells), data)


def _from_integers(column: pa.Array, names: Sequence[str], data: Profile) -> NDArray[np.uint8]:
    """Lists of the bytes of a sample, integers 0 to 255, as samples, (n, …)."""
    size = math.prod(data.shape)

    def wrong(name: str, found: str) -> PipelineError:
        one = ONE[data.form]
        return PipelineError(
            f"{name} is not {one} that can be read: {found}, want {size} of 0 to 255"
        )

    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    if len(short := np.flatnonzero(lengths != size)):
        raise wrong(names[short[0]], f"it has {lengths[short[0]]} integers")
    values = column.flatten()
    right = pc.and_(pc.greater_equal(values, 0), pc.less_equal(values, 255))
    outside = np.flatnonzero(~pc.fill_null(right, False).to_numpy(zero_copy_only=False))
    if len(outside):
        raise wrong(names[outside[0] // size], f"one of its integers is {values[outside[0]]}")
    return np.asarray(values.to_numpy().astype(np.uint8).reshape(-1, *data.shape))
