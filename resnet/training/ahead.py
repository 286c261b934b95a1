"""Make what an epoch needs while the one before it is trained."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

Made = TypeVar("Made")


class Ahead(Generic[Made]):
    """`make(1)`, `make(2)`, … when they are asked for, the next made in a thread meanwhile.

    On a GPU an epoch may last a fifth of a second, and to draw its batches takes part of that.
    """

    def __init__(self, make: Callable[[int], Made], last: int) -> None:
        self._make, self._last = make, last
        self._pool = ThreadPoolExecutor(1)
        self._coming: dict[int, Future[Made]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()

    def __getitem__(self, epoch: int) -> Made:
        """What `make(epoch)` gives. What belongs to earlier epochs is forgotten."""
        wanted = range(epoch, min(epoch + 1, self._last) + 1)
        self._coming = {
            number: self._coming.get(number) or self._pool.submit(self._make, number)
            for number in wanted
        }
        return self._coming[epoch].result()
