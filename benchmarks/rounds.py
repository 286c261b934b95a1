"""Rounds in turn: what all contenders share, such as the noise of a neighbour, cancels in ratios.

Many short rounds do that better than few long ones: a shared machine changes within a minute.
"""

from collections.abc import Callable, Mapping

ROUNDS = 9

Round = Callable[[], float]
"""One round of a contender's work; returns its speed in units per second."""


def best_in_turn(contenders: Mapping[str, Round], rounds: int | None = None) -> dict[str, float]:
    """The best speed of each contender in `ROUNDS` rounds, after one that warms up."""
    speeds = [
        {name: one_round() for name, one_round in contenders.items()}
        for _ in range(1 + (rounds or ROUNDS))
    ]
    return {name: max(speed[name] for speed in speeds[1:]) for name in contenders}


class NotMeasuredError(Exception):
    """Why a row is not measured although nothing has failed: something optional is missing."""
