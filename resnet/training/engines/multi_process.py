"""Several processes that train as one: the first decides, the others follow its engine's calls.

JAX wants every process to make the same calls in the same order. Process 0 has the loop, the
checkpoints, the files and MLflow; before it calls its engine it tells the others, who call theirs.
So when to stop, and all that depends on a clock, is decided in one place.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from resnet.errors import PipelineError
from resnet.forms.image.draws import Draws
from resnet.training.engines.interface import Bytes, Engine, Floats, padded

Arrays = Sequence[npt.NDArray[Any]]

UNIT = 1 << 16  # bytes; messages are sent in whole units, as each length is compiled once


class Leader:
    """The engine of process 0: see `resnet.training.engines.interface.Engine`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.chunk, self.devices = engine.chunk, engine.devices
        self._alone = False

    def train(self, draws: Draws) -> Floats:
        with self._others():
            _tell("train", draws)
            return self._engine.train(draws)

    def score(self, images_nhwc: Bytes, labels_n: Bytes) -> Floats:
        with self._others():
            _tell("score", [images_nhwc, labels_n])
            return self._engine.score(images_nhwc, labels_n)

    def restore(self, state: list[npt.NDArray[Any]]) -> None:
        with self._others():
            _tell("restore", state)
            self._engine.restore(state)

    def state(self) -> list[npt.NDArray[Any]]:
        return self._engine.state()  # every process has the whole of it

    def weights(self) -> list[npt.NDArray[Any]]:
        return self._engine.weights()

    def close(self) -> None:
        if not self._alone:
            _tell("close", [])

    @contextmanager
    def _others(self) -> Iterator[None]:
        """Raise PipelineError where the block fails for want of another process."""
        from jax.errors import JaxRuntimeError

        try:
            yield
        except JaxRuntimeError as error:
            self._alone = True
            raise PipelineError(
                f"a process that trains with this one is lost, or cannot be reached "
                f"({str(error).partition(chr(10))[0]}): look at what it said, and start all of "
                "them again; they go on from the last checkpoint"
            ) from error


def follow(engine: Engine) -> None:
    """Make the calls that process 0 makes, until it closes its engine."""
    while True:
        call, arrays = _told()
        match call:
            case "train":
                engine.train(Draws(*arrays))
            case "score":
                engine.score(*arrays)
            case "restore":
                engine.restore(list(arrays))
            case _:
                return


def led(engine: Engine) -> Engine:
    """`engine` as this process shall call it: its own, but for process 0 of several."""
    import jax

    return Leader(engine) if jax.process_count() > 1 and not jax.process_index() else engine


def agree(fingerprint: str) -> None:
    """Raise PipelineError, in every process, unless all have the same `fingerprint`, in hex."""
    from jax.experimental import multihost_utils

    mine = np.frombuffer(bytes.fromhex(fingerprint), np.uint8)
    found = np.asarray(multihost_utils.process_allgather(mine))
    other = np.flatnonzero((found != found[0]).any(axis=1))
    if len(other):
        raise PipelineError(
            f"process {other[0]} has other parameters, images or code than process 0: give "
            "every process the same params.yaml, the same arrays and the same commit"
        )


def _tell(call: str, arrays: Arrays) -> None:
    stream = io.BytesIO()
    np.savez(stream, np.array(call), *arrays)
    message = np.frombuffer(stream.getvalue(), np.uint8)
    _share(np.array(len(message), np.int32))
    _share(padded(message, _whole_units(len(message))))


def _told() -> tuple[str, Arrays]:
    length = int(_share(np.array(0, np.int32)))
    message = _share(np.zeros(_whole_units(length), np.uint8))[:length]
    with np.load(io.BytesIO(message.tobytes()), allow_pickle=False) as found:
        call, *arrays = found.values()
        return str(call), arrays


def _whole_units(length: int) -> int:
    return length + -length % UNIT


def _share(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Process 0's array of this shape and dtype, in every process."""
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.broadcast_one_to_all(array))
