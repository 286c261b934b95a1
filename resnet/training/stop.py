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
    where it can end.
    """

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._signalled = self._deferring = False
        self._before: dict[signal.Signals, Any] = {}

    def asked(self) -> bool:
        """Whether the job shall end. A parent that is gone has left its children to another."""
        return self._signalled or os.getppid() != self._parent

    def defer(self) -> None:
        """Let no signal interrupt the job any more."""
        self._deferring = True

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True
        if not self._deferring:
            raise StoppedError("told to end before its first step; nothing is lost: run it again")

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
