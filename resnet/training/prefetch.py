"""Prepare an epoch's batches in a thread while the epoch before is trained."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def prefetch(make: Callable[[int], Item], last: int) -> Iterator[Callable[[int], Item]]:
    """Gives a function that returns `make(epoch)`, with epochs asked for in order up to `last`.

    The next epoch's item is made in a thread meanwhile; that of the epoch before is dropped. On a
    GPU an epoch may take a fifth of a second, and drawing its batches takes a part of that.
    """
    futures: dict[int, Future[Item]] = {}
    with ThreadPoolExecutor(1) as pool:

        def get(epoch: int) -> Item:
            for number in range(epoch, min(epoch + 1, last) + 1):
                if number not in futures:
                    futures[number] = pool.submit(make, number)
            futures.pop(epoch - 1, None)
            return futures[epoch].result()

        yield get
