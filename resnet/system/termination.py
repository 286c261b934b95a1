"""Know when a job has been told to end: by SIGTERM, by SIGINT, or by the end of its parent."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from resnet.errors import StoppedError

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Used as a context manager around a job, in the main thread: others see no signals.

    A signal raises StoppedError where the job is. After `defer` it is only noted, and the job asks
    where it can end. `parent` is the process that started this one, as `os.getppid` told it early:
    while TensorFlow is loaded it may end, and then nobody could tell any more.
    """

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._signalled = self._deferring = False
        self._before: dict[signal.Signals, Any] = {}

    def asked(self) -> bool:
        """Whether the job shall end. A parent that is gone has left its children to another."""
        return self._signalled or os.getppid() != self._parent

    def defer(self) -> None:
        """Let no signal interrupt the job any more.

        Raises StoppedError for one that has come, if what was loaded then has caught its exception.
        """
        self._deferring = True
        if self._signalled:
            raise _before_the_first_step()

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True
        if not self._deferring:
            raise _before_the_first_step()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._take) for number in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        # An import that a signal cuts short fails with an error of its own.
        if self._signalled and not self._deferring and not isinstance(error, StoppedError | None):
            raise _before_the_first_step() from error


def _before_the_first_step() -> StoppedError:
    return StoppedError("told to end before its first step; nothing is lost: run it again")
