import io
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet.data.sets import cifar_pickle_reader, cifar_pickle_writer
from resnet.errors import PipelineError

FULL_NAME = b"cnumpy.core.multiarray\n_reconstruct\n"
ARRAY = np.arange(6, dtype=np.uint8).reshape(2, 3)


def refused(content: bytes, tmp_path: Path, match: str) -> None:
    path = tmp_path / "data_batch_1"
    path.write_bytes(content)
    with pytest.raises(PipelineError, match=match) as error:
        cifar_pickle_reader.load(path)
    assert "run 'resnet fetch' again" in str(error.value)


def calling(module: str, name: str, argument: str) -> bytes:
    """A pickle that calls module.name(argument)."""
    return f"c{module}\n{name}\n(S'{argument}'\ntR.".encode()


class Reduced:
    """An object that pickles as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def test_what_pickling_writes_comes_back() -> None:
    values: dict[bytes, cifar_pickle_writer.Value] = {
        b"data": ARRAY,
        b"labels": [1, 2],
        b"n": 70_000,
        b"names": [b"a", b"b" * 300],
    }
    read = cifar_pickle_reader.loads(cifar_pickle_writer.dumps(values))
    assert read.pop(b"data").tolist() == ARRAY.tolist()
    assert read == {b"labels": [1, 2], b"n": 70_000, b"names": [b"a", b"b" * 300]}


def test_pickles_own_reader_agrees_with_ours() -> None:
    content = cifar_pickle_writer.dumps({b"data": ARRAY, b"labels": [1, 255]})
    read = pickle.loads(content, encoding="bytes")
    assert read[b"labels"] == [1, 255]
    assert read[b"data"].dtype == np.uint8
    assert read[b"data"].tolist() == ARRAY.tolist()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("__builtin__", "eval"),
        ("builtins", "getattr"),
        ("subprocess", "Popen"),
        ("numpy", "load"),
        ("numpy", "fromfile"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy.testing._private.utils", "runstring"),
        ("numpy", "ndarray.tofile"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("pickle", "loads"),
    ],
)
def test_no_other_name_is_found(module: str, name: str) -> None:
    """Below the scan of operations, the unpickler itself refuses."""
    with pytest.raises(pickle.UnpicklingError, match=f"it names {module}.{name}"):
        cifar_pickle_reader._Unpickler(io.BytesIO(calling(module, name, "x"))).load()


def test_a_call_of_the_shell_does_not_run(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        hostile = pickle.dumps(Reduced(os.system, f"touch {witness}"), protocol)
        refused(hostile, tmp_path, "it uses|it names")
    assert not witness.exists()


def test_only_the_operations_of_cifar_10_are_done(tmp_path: Path) -> None:
    for content, operation in {
        b"\x80\x02U\x01aQ.": "BINPERSID",
        b"\x80\x02Pabc\n.": "PERSID",
        b"\x80\x02\x82\x01.": "EXT1",
        b"\x80\x02(ios\nsystem\n.": "INST",
        b"\x80\x02(o.": "OBJ",
        b"\x80\x02}q\x00h\x00.": "BINGET",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.": "SHORT_BINUNICODE",
        b"\x80\x02)\x81.": "EMPTY_TUPLE",
        b"\x80\x02\x97.": "NEXT_BUFFER",
    }.items():
        refused(content, tmp_path, f"it uses {operation} ")


def test_numpys_own_pickle_of_objects_is_refused(tmp_path: Path) -> None:
    hostile = pickle.dumps({b"data": np.array([Reduced(eval, "1 + 1")], dtype=object)}, 2)
    refused(hostile, tmp_path, "it uses|it names")


def new_array(arguments: bytes = b"K\x00\x85U\x01b") -> bytes:
    return FULL_NAME + b"cnumpy\nndarray\n" + arguments + b"\x87R"


def dtype(
    name: bytes = b"u1", layout: bytes = b"K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"
) -> bytes:
    new = b"cnumpy\ndtype\nU" + bytes([len(name)]) + name + b"K\x00K\x01\x87R"
    return new + b"(" + layout + b"tb"


def state(shape: bytes, kind: bytes, content: bytes, version: bytes = b"K\x01") -> bytes:
    return b"(" + version + shape + kind + b"\x89U" + bytes([len(content)]) + content + b"tb"


def holding(value: bytes) -> bytes:
    """A pickle of the dict {"data": value}."""
    return b"\x80\x02}(U\x04data" + value + b"u."


def test_the_parts_make_an_array_when_nothing_is_wrong() -> None:
    value = new_array() + state(b"K\x02K\x03\x86", dtype(), b"abcdef")
    assert cifar_pickle_reader.loads(holding(value))[b"data"].tobytes() == b"abcdef"


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (new_array() + state(b"K\x02K\x03\x86", dtype(b"O8"), b"abcdef"), "a dtype made of"),
        (
            new_array() + state(b"K\x02K\x03\x86", dtype(layout=b"K\x03"), b"abcdef"),
            "dtype's state",
        ),
        (new_array() + state(b"K\x02K\x04\x86", dtype(), b"abcdef"), "2 × 4 bytes, but 6"),
        (new_array() + state(b"K\x02\x85", dtype(), b"ab"), "want two axes"),
        (new_array() + state(b"J\xff\xff\xff\xffJ\xff\xff\xff\xff\x86", dtype(), b"a"), "-1 × -1"),
        (
            new_array() + state(b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", dtype(), b"a"),
            "but 1 are",
        ),
        (new_array() + state(b"K\x02K\x03\x86", b"N", b"abcdef"), "want two axes"),
        (new_array(b"J\xff\xff\xff\x7f\x85U\x01b"), "an array made of"),
        (FULL_NAME + b"cnumpy\ndtype\nK\x00\x85U\x01b\x87R", "an array made of"),
        (b"cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85R", "not callable"),
        (b"cnumpy\nndarray\n}b", "changes one of NumPy's names"),
        (b"cnumpy\ndtype\nN}\x86b", "changes one of NumPy's names"),
    ],
)
def test_the_three_names_do_nothing_but_make_unsigned_bytes(
    value: bytes, match: str, tmp_path: Path
) -> None:
    refused(holding(value), tmp_path, match)


def test_a_file_cut_off_anywhere_is_refused() -> None:
    content = cifar_pickle_writer.dumps({b"data": ARRAY, b"labels": [1, 2]})
    for length in range(len(content)):
        with pytest.raises(pickle.UnpicklingError):
            cifar_pickle_reader.loads(content[:length])


def test_every_flipped_byte_is_refused_or_gives_plain_values() -> None:
    content = bytearray(cifar_pickle_writer.dumps({b"data": ARRAY, b"labels": [1, 2]}))
    for position in range(len(content)):
        for flip in (0x01, 0x80, 0xFF):
            content[position] ^= flip
            try:
                values = cifar_pickle_reader.loads(bytes(content))
            except pickle.UnpicklingError:
                pass
            else:
                assert all(
                    value is None
                    or isinstance(
                        value, bytes | int | list | np.ndarray | cifar_pickle_reader._Name
                    )
                    for value in values.values()
                )
            content[position] ^= flip


@pytest.mark.parametrize(
    "claim",
    [
        b"T" + struct.pack("<i", 2**31 - 1),  # a text of 2 GiB
        b"T" + struct.pack("<i", -1),
        b"\x8e" + struct.pack("<Q", 2**60),  # BINBYTES8
        b"\x96" + struct.pack("<Q", 2**60),  # BYTEARRAY8
        b"\x8b" + struct.pack("<i", 2**31 - 1),  # LONG4
        b"\x95" + struct.pack("<Q", 2**60),  # FRAME
        b"Nr" + struct.pack("<I", 2**32 - 1),  # a memo of 4 billion entries
    ],
)
def test_claims_of_huge_values_allocate_nothing(claim: bytes, tmp_path: Path) -> None:
    refused(b"\x80\x02" + claim + b".", tmp_path, "not a batch")


def test_deep_nesting_overflows_no_stack(tmp_path: Path) -> None:
    """A million nested tuples as a key would be hashed by recursion in C, and crash Python."""
    refused(b"\x80\x02}N" + b"\x85" * 1_000_000 + b"Ns.", tmp_path, "more operations than a batch")
    refused(b"\x80\x02" + b"]" * 1_000_000 + b".", tmp_path, "more operations than a batch")
    refused(b"\x80\x02" + b"N" * 1_000_000 + b".", tmp_path, "more operations than a batch")


def test_a_file_far_too_large_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "data_batch_1"
    with path.open("wb") as stream:
        stream.truncate(cifar_pickle_reader.MAX_SIZE + 1)
    with pytest.raises(PipelineError, match="at most 67108864 are read"):
        cifar_pickle_reader.load(path)


def test_something_else_than_a_dict_is_refused(tmp_path: Path) -> None:
    refused(b"\x80\x02](K\x01e.", tmp_path, "it holds a list, want a dict")
    refused(b"", tmp_path, "not a batch")
    refused(b"<html>404</html>", tmp_path, "not a batch")


def test_a_file_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="cannot be read: No such file.*run 'resnet fetch'"):
        cifar_pickle_reader.load(tmp_path / "data_batch_1")
