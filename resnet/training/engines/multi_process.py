"""Several processes that train as one: process 0 decides, the others repeat its engine's calls.

JAX wants every process to make the same calls in the same order. Process 0 has the loop, the
checkpoints, the files and MLflow; before it calls its engine it broadcasts the call, and the other
processes call theirs. So what depends on a clock or a signal is decided in one place.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from resnet.errors import PipelineError
from resnet.forms.draws import Draws
from resnet.training.engines.interface import Arrays, Bytes, Engine, Floats, padded

UNIT = 1 << 16  # bytes; messages are sent in whole units, for every length is compiled once


class Coordinator:
    """The engine of process 0: see `resnet.training.engines.interface.Engine`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.chunk, self.devices = engine.chunk, engine.devices
        self._lost = False  # whether another process has gone

    def train(self, draws: Draws) -> Floats:
        with self._explain_lost_process():
            _broadcast("train", [draws.index_kb, *draws.augmentation])
            return self._engine.train(draws)

    def score(self, images_nhwc: Bytes, labels_n: Bytes) -> Floats:
        with self._explain_lost_process():
            _broadcast("score", [images_nhwc, labels_n])
            return self._engine.score(images_nhwc, labels_n)

    def restore(self, state: Arrays) -> None:
        with self._explain_lost_process():
            _broadcast("restore", state)
            self._engine.restore(state)

    def state(self) -> Arrays:
        return self._engine.state()  # every process has all of it

    def weights(self) -> Arrays:
        return self._engine.weights()

    def close(self) -> None:
        if not self._lost:
            _broadcast("close", [])

    @contextmanager
    def _explain_lost_process(self) -> Iterator[None]:
        """Raise PipelineError where the block fails because another process is gone."""
        from jax.errors import JaxRuntimeError

        try:
            yield
        except JaxRuntimeError as error:
            self._lost = True
            raise PipelineError(
                "a process that trains with this one has ended or cannot be reached "
                f"({str(error).partition(chr(10))[0]}): read its output, and start all processes "
                "again; they resume from the last checkpoint"
            ) from error


def coordinated(engine: Engine) -> Engine:
    """`engine` itself, or for process 0 of several the engine that coordinates all of them."""
    import jax

    return Coordinator(engine) if jax.process_count() > 1 and not jax.process_index() else engine


def run_follower(engine: Engine) -> None:
    """Repeat the calls of process 0, until it closes its engine."""
    while True:
        call, arrays = _receive()
        match call:
            case "train":
                index_kb, *augmentation = arrays
                engine.train(Draws(index_kb, tuple(augmentation)))
            case "score":
                engine.score(*arrays)
            case "restore":
                engine.restore(list(arrays))
            case _:
                return


def require_equal(fingerprint: str) -> None:
    """Raise PipelineError in every process unless all have the same `fingerprint`, in hex."""
    from jax.experimental import multihost_utils

    own = np.frombuffer(bytes.fromhex(fingerprint), np.uint8)
    fingerprints = np.asarray(multihost_utils.process_allgather(own))
    different = np.flatnonzero((fingerprints != fingerprints[0]).any(axis=1))
    if len(different):
        raise PipelineError(
            f"process {different[0]} has other parameters, images or code than process 0: give "
            "every process the same params.yaml, the same arrays and the same commit"
        )


def _broadcast(call: str, arrays: Sequence[npt.NDArray[Any]]) -> None:
    stream = io.BytesIO()
    np.savez(stream, np.array(call), *arrays)
    message = np.frombuffer(stream.getvalue(), np.uint8)
    _broadcast_array(np.array(len(message), np.int32))
    _broadcast_array(padded(message, _whole_units(len(message))))


def _receive() -> tuple[str, Sequence[npt.NDArray[Any]]]:
    length = int(_broadcast_array(np.array(0, np.int32)))
    message = _broadcast_array(np.zeros(_whole_units(length), np.uint8))[:length]
    with np.load(io.BytesIO(message.tobytes()), allow_pickle=False) as stored:
        call, *arrays = stored.values()
        return str(call), arrays


def _whole_units(length: int) -> int:
    return length + -length % UNIT


def _broadcast_array(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Process 0's array, in every process; the others pass one of its shape and dtype."""
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.broadcast_one_to_all(array))
