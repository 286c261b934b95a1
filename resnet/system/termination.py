"""Know when a job must stop: on SIGTERM, on SIGINT, or when its parent process is gone."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from resnet.errors import StoppedError

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """A context manager around a job, for the main thread: other threads get no signals.

    A signal interrupts the job with StoppedError. After `defer` it is only recorded, and the job
    calls `requested` where it can stop. `parent` is the process that started this one, as
    `os.getppid` returned it early: it may end while TensorFlow is loaded, which nobody could see
    afterwards.
    """

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._signalled = self._deferring = False
        self._before: dict[signal.Signals, Any] = {}

    def requested(self) -> bool:
        """Whether the job must stop. The children of a parent that is gone have another one."""
        return self._signalled or os.getppid() != self._parent

    def defer(self) -> None:
        """Let no signal interrupt the job any more.

        Raises StoppedError for an earlier one whose exception was caught by what was being loaded.
        """
        self._deferring = True
        if self._signalled:
            raise _before_the_first_step()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True
        if not self._deferring:
            raise _before_the_first_step()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        # An import that a signal interrupts fails with an error of its own.
        if self._signalled and not self._deferring and not isinstance(error, StoppedError | None):
            raise _before_the_first_step() from error


def _before_the_first_step() -> StoppedError:
    return StoppedError("interrupted before the first step; nothing was lost; run it again")
