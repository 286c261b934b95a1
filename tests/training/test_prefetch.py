"""What is made ahead of its epoch."""

import threading

import pytest

from resnet.training.prefetch import ahead


def test_each_epoch_is_made_once_and_the_next_one_meanwhile() -> None:
    made: list[int] = []
    second = threading.Event()

    def make(epoch: int) -> int:
        made.append(epoch)
        if epoch == 2:
            second.set()
        return 10 * epoch

    with ahead(make, last=3) as given:
        assert given(1) == 10
        assert second.wait(10)  # nobody has asked for it
        assert [given(epoch) for epoch in (1, 2, 2, 3)] == [10, 20, 20, 30]
    assert made == [1, 2, 3]


def test_the_first_may_be_any_epoch() -> None:
    with ahead(lambda epoch: epoch, last=9) as given:
        assert given(7) == 7


def test_what_making_raises_is_raised_when_it_is_asked_for() -> None:
    def make(epoch: int) -> float:
        return 1 / (2 - epoch)

    with ahead(make, last=2) as given:
        assert given(1) == 1
        with pytest.raises(ZeroDivisionError):
            given(2)
