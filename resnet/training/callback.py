"""How others follow a training, for example to show it in MLflow while it runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Callback(Protocol):
    """Called in this order: started, epoch (many times), then finished, stopped or failed."""

    def started(self, total_steps: int, folder: Path, key: str) -> None:
        """Training is about to make its next step.

        Files written to `folder` are found there when an interrupted training is resumed; `key`
        identifies the training, whichever process runs it.
        """

    def epoch(self, row: Mapping[str, float]) -> None:
        """An epoch has ended; `row` is its row of the history, without empty cells."""

    def finished(self, model_hash: str) -> None:
        """The model is published."""

    def stopped(self, reason: str) -> None:
        """Training was interrupted and can be resumed."""

    def failed(self, reason: str) -> None:
        """Training ended with an error."""


class NullCallback:
    """A callback that does nothing."""

    def started(self, total_steps: int, folder: Path, key: str) -> None: ...

    def epoch(self, row: Mapping[str, float]) -> None: ...

    def finished(self, model_hash: str) -> None: ...

    def stopped(self, reason: str) -> None: ...

    def failed(self, reason: str) -> None: ...
