"""Rounds in turn: what two sides share, such as a neighbour's noise, falls out of their ratio.

Many short rounds do that better than few long ones: a shared machine changes within a minute.
"""

from collections.abc import Callable, Mapping

ROUNDS = 9

Side = Callable[[], float]
"""One round of work; gives its speed in units a second."""


def best_in_turn(sides: Mapping[str, Side]) -> dict[str, float]:
    """The best speed of each side in `ROUNDS` rounds; a round before them warms up."""
    speeds = [{name: side() for name, side in sides.items()} for _ in range(1 + ROUNDS)]
    return {name: max(speed[name] for speed in speeds[1:]) for name in sides}
