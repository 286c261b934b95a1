"""Make what an epoch needs while the one before it is trained."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Made = TypeVar("Made")


@contextmanager
def ahead(make: Callable[[int], Made], last: int) -> Iterator[Callable[[int], Made]]:
    """What gives `make(1)`, `make(2)`, … `make(last)`, asked for in order, the next one made in a
    thread meanwhile. What belongs to the epoch before is forgotten.

    On a GPU an epoch may last a fifth of a second, and to draw its batches takes part of that.
    """
    coming: dict[int, Future[Made]] = {}
    with ThreadPoolExecutor(1) as pool:

        def made(epoch: int) -> Made:
            for number in range(epoch, min(epoch + 1, last) + 1):
                if number not in coming:
                    coming[number] = pool.submit(make, number)
            coming.pop(epoch - 1, None)
            return coming[epoch].result()

        yield made
