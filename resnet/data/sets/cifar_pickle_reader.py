"""Read a pickle of CIFAR-10's form, and run nothing that is not of that form.

bytes of a batch file → a dict with bytes keys; its arrays are (N, 3072) uint8. Three barriers, each
of them enough to stop code in a pickle:

1. the file may use only the operations that CIFAR-10's files use, and not more of them;
2. it may name only three globals: numpy.core.multiarray._reconstruct, numpy.ndarray, numpy.dtype;
3. these names stand for the small classes below, not for NumPy's own, so that no hostile argument
   ever reaches NumPy's code, and the result does not depend on NumPy's version.
"""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from resnet.errors import PipelineError

MAX_SIZE = 64 << 20  # bytes; CIFAR-10's largest file has 31,035,999
MAX_OPERATIONS = 100_000  # CIFAR-10's longest file has some 30,000
PLAIN = {
    *("PROTO", "MARK", "STOP", "NONE", "NEWFALSE", "BININT", "BININT1", "BININT2"),
    *("SHORT_BINSTRING", "BINSTRING", "BINPUT", "LONG_BINPUT", "APPENDS", "SETITEMS"),
}
# They build an object out of others. Few are needed; many, nested, would overflow C's stack.
BUILDING = {
    *("EMPTY_DICT", "EMPTY_LIST", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("GLOBAL", "REDUCE", "BUILD"),
}
MAX_BUILDING = 32  # CIFAR-10's files have 15

DTYPE_ARGUMENTS = ("u1", 0, 1)
DTYPE_STATE = (3, "|", None, None, None, -1, -1, 0)  # byte order and layout of an unsigned byte


class _Name:
    """Stands for one of the three globals; nothing in a file may change it."""

    __slots__ = ()

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("it changes one of NumPy's names")


class _Ndarray(_Name):
    """Stands for numpy.ndarray, which is only ever passed to `_reconstruct`."""

    __slots__ = ()


class _Dtype(_Name):
    """Stands for numpy.dtype; the only dtype that it makes is that of unsigned bytes."""

    __slots__ = ()

    def __call__(self, *arguments: object) -> "_Uint8":
        if _text(arguments) != DTYPE_ARGUMENTS:
            raise pickle.UnpicklingError(f"a dtype made of {arguments!r:.60}, want {'u1'!r}")
        return _Uint8()


class _Uint8:
    """The dtype of unsigned bytes; BUILD gives it byte order and layout."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        if _text(state) != DTYPE_STATE:
            raise pickle.UnpicklingError(f"the dtype's state is {state!r:.60}")


class _Reconstruct(_Name):
    """Stands for numpy.core.multiarray._reconstruct: makes an array that is still to be filled."""

    __slots__ = ()

    def __call__(self, *arguments: object) -> "_Array":
        if arguments != (NDARRAY, (0,), b"b"):
            raise pickle.UnpicklingError(f"an array made of {arguments!r:.60}")
        return _Array()


class _Array:
    """An array under construction; BUILD gives it its state."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: NDArray[np.uint8] | None = None

    def __setstate__(self, state: object) -> None:
        match state:
            case (1, (int(rows), int(columns)), _Uint8(), False, bytes(content)):
                pass
            case _:
                raise pickle.UnpicklingError(
                    f"the array's state is {state!r:.60}, want two axes of unsigned bytes"
                )
        if rows < 0 or columns < 0 or rows * columns != len(content):
            raise pickle.UnpicklingError(
                f"an array of {rows} × {columns} bytes, but {len(content)} are there"
            )
        self.values = np.frombuffer(content, np.uint8).reshape(rows, columns)


NDARRAY = _Ndarray()
GLOBALS = {
    "numpy.core.multiarray _reconstruct": _Reconstruct(),
    "numpy ndarray": NDARRAY,
    "numpy dtype": _Dtype(),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return GLOBALS[f"{module} {name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}") from None


def load(path: Path) -> dict[bytes, Any]:
    """The dict that the file `path` holds; its texts are bytes, its arrays (N, M) uint8.

    Raises PipelineError if it holds anything else, and runs nothing of it.
    """
    try:
        size = path.stat().st_size
        if size > MAX_SIZE:
            raise pickle.UnpicklingError(f"it has {size} bytes, at most {MAX_SIZE} are read")
        return loads(path.read_bytes())
    except pickle.UnpicklingError as error:
        raise PipelineError(
            f"{path} is not a batch in CIFAR-10's form: {error}; delete it and run 'resnet fetch' "
            "again"
        ) from error
    except OSError as error:
        raise PipelineError(
            f"{path} cannot be read: {error.strerror}; run 'resnet fetch'"
        ) from error


def loads(content: bytes) -> dict[bytes, Any]:
    """`load` from a file's content. Raises pickle.UnpicklingError, whatever is wrong."""
    try:
        _inspect(content)
        value = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # on hostile bytes pickle raises nearly everything
        raise pickle.UnpicklingError(f"{type(error).__name__}: {error}") from error
    if not isinstance(value, dict):
        raise pickle.UnpicklingError(f"it holds a {type(value).__name__}, want a dict")
    return {key: part.values if isinstance(part, _Array) else part for key, part in value.items()}


def _inspect(content: bytes) -> None:
    """Read the operations without performing any; raise UnpicklingError at a forbidden one."""
    building = 0
    for count, (operation, argument, position) in enumerate(pickletools.genops(content)):
        name = operation.name
        if name not in PLAIN and name not in BUILDING:
            raise pickle.UnpicklingError(f"it uses {name} at byte {position}")
        if name == "GLOBAL" and argument not in GLOBALS:
            raise pickle.UnpicklingError(f"it names {str(argument).replace(' ', '.')!r:.80}")
        # The memo is an array as long as its highest index: one claim could take all memory.
        if name in ("BINPUT", "LONG_BINPUT") and int(argument or 0) > MAX_OPERATIONS:
            raise pickle.UnpicklingError(f"it claims a memo of {argument} entries")
        building += name in BUILDING
        if building > MAX_BUILDING or count > MAX_OPERATIONS:
            raise pickle.UnpicklingError("it has more operations than a batch has")


def _text(value: object) -> object:
    """`value`, with a tuple's bytes as text: Python 2 wrote both in the same way."""
    if not isinstance(value, tuple):
        return value
    return tuple(part.decode("latin-1") if isinstance(part, bytes) else part for part in value)
