"""Write a pickle as Python 2 wrote CIFAR-10's: the inverse of `cifar_pickle_reader`.

dict of texts, integers, lists and arrays → bytes. The operations are written one by one, so that
equal values give equal bytes with every version of Python and NumPy, whose own pickles change.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Value: TypeAlias = "bytes | int | Sequence[bytes] | Sequence[int] | NDArray[np.uint8]"


def dumps(values: Mapping[bytes, Value]) -> bytes:
    """`values` as a pickle of protocol 2; arrays are (N, M) uint8, integers 32 bits wide."""
    items = b"".join(_encode(key) + _encode(value) for key, value in values.items())
    return b"\x80\x02" + b"}(" + items + b"u" + b"."


def _encode(value: Value) -> bytes:
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, bytes):
        if len(value) < 256:
            return b"U" + bytes([len(value)]) + value
        return b"T" + struct.pack("<i", len(value)) + value
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    return b"](" + b"".join(map(_encode, value)) + b"e"


def _array(values: NDArray[np.uint8]) -> bytes:
    """_reconstruct(ndarray, (0,), "b"), then its state: version, shape, dtype, order, bytes."""
    new = b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n" + _encode(0) + b"\x85"
    dtype = b"cnumpy\ndtype\n" + _encode(b"u1") + _encode(0) + _encode(1) + b"\x87R"
    layout = _encode(3) + _encode(b"|") + b"NNN" + _encode(-1) + _encode(-1) + _encode(0)
    shape = _encode(values.shape[0]) + _encode(values.shape[1]) + b"\x86"
    state = _encode(1) + shape + dtype + b"(" + layout + b"tb" + b"\x89" + _encode(values.tobytes())
    return new + _encode(b"b") + b"\x87R" + b"(" + state + b"tb"
