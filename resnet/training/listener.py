"""Who wants to know how training goes, such as a live MLflow run."""

from collections.abc import Mapping
from typing import Protocol


class Listener(Protocol):
    """Told in this order: started, epoch (many times), and then finished or failed."""

    def started(self, total_steps: int, done: int) -> None:
        """The first step is about to be made, or, after `done` steps, the next one."""

    def epoch(self, row: Mapping[str, float]) -> None:
        """An epoch has ended; `row` is its line of the history, without its empty cells."""

    def finished(self, model_hash: str) -> None:
        """The model is published."""

    def failed(self, reason: str) -> None:
        """Training ended before its time."""


class Silence:
    """The listener that tells nobody."""

    def started(self, total_steps: int, done: int) -> None: ...

    def epoch(self, row: Mapping[str, float]) -> None: ...

    def finished(self, model_hash: str) -> None: ...

    def failed(self, reason: str) -> None: ...
