"""Who wants to know how training goes, such as a live MLflow run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Callback(Protocol):
    """Told in this order: started, epoch (many times), and then finished, stopped or failed."""

    def started(self, total_steps: int, folder: Path, key: str) -> None:
        """The next step is about to be made.

        What is written to `folder` is found there when an interrupted training is resumed; `key`
        names the training, whichever process makes it.
        """

    def epoch(self, row: Mapping[str, float]) -> None:
        """An epoch has ended; `row` is its line of the history, without its empty cells."""

    def finished(self, model_hash: str) -> None:
        """The model is published."""

    def stopped(self, reason: str) -> None:
        """Training was told to end, and can be resumed."""

    def failed(self, reason: str) -> None:
        """Training ended with an error."""


class NullCallback:
    """The callback that tells nobody."""

    def started(self, total_steps: int, folder: Path, key: str) -> None: ...

    def epoch(self, row: Mapping[str, float]) -> None: ...

    def finished(self, model_hash: str) -> None: ...

    def stopped(self, reason: str) -> None: ...

    def failed(self, reason: str) -> None: ...
