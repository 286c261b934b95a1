"""Read NumPy's files by what they hold: their headers are checked before memory is taken.

A header of a few bytes can declare any shape, and NumPy allocates the memory before it reads.
"""

import lzma
import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# What the functions below raise for a file that is damaged, encrypted, or something else.
UNREADABLE = (
    *(OSError, ValueError, KeyError, EOFError, TypeError, RuntimeError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError),
)


class Declared(NamedTuple):
    """What a header declares of its array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def load(path: Path) -> NDArray[Any]:
    """The array in an .npy file. Raises one of `UNREADABLE` where there is no whole array."""
    with path.open("rb") as stream:
        _header(stream, path.stat().st_size)
        stream.seek(0)
        return _read(stream)


def declared(archive: zipfile.ZipFile, name: str) -> Declared:
    """What the array `name` of an .npz file is, without reading it.

    Raises one of `UNREADABLE` where there is none, or where its header is damaged or declares more
    or less than the file holds.
    """
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as stream:
        return _header(stream, member.file_size)


def read(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """The array `name` of an .npz file. Raises one of `UNREADABLE`."""
    declared(archive, name)
    with archive.open(f"{name}.npy") as stream:
        return _read(stream)


def _header(stream: IO[bytes], size: int) -> Declared:
    """Read the header of a file of `size` bytes. Raises ValueError unless its array is whole."""
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):  # the others are for structures with many or unusual names
        raise ValueError(f"its format is version {version}, want (1, 0)")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded: they can run code")
    wanted, present = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if wanted != present:
        raise ValueError(
            f"its header declares {dtype} of shape {shape}, {wanted:,} bytes, but "
            f"{present:,} follow"
        )
    return Declared(shape, dtype)


def _read(stream: IO[bytes]) -> NDArray[Any]:
    array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array
