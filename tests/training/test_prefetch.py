"""Items that are made ahead of their epoch."""

import threading

import pytest

from resnet.training.prefetch import prefetch


def test_each_epoch_is_made_once_and_the_next_one_meanwhile() -> None:
    epochs: list[int] = []
    second = threading.Event()

    def make(epoch: int) -> int:
        epochs.append(epoch)
        if epoch == 2:
            second.set()
        return 10 * epoch

    with prefetch(make, last=3) as get:
        assert get(1) == 10
        assert second.wait(10)  # although nobody has asked for it
        assert [get(epoch) for epoch in (1, 2, 2, 3)] == [10, 20, 20, 30]
    assert epochs == [1, 2, 3]


def test_the_first_may_be_any_epoch() -> None:
    with prefetch(lambda epoch: epoch, last=9) as get:
        assert get(7) == 7


def test_an_error_is_raised_when_the_epoch_is_asked_for() -> None:
    def make(epoch: int) -> float:
        return 1 / (2 - epoch)

    with prefetch(make, last=2) as get:
        assert get(1) == 1
        with pytest.raises(ZeroDivisionError):
            get(2)
