"""Register what the stages made, in a process of its own that a run may start ahead of time."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flows.tasks import progress_logger
from resnet.checkout import command
from resnet.checkout.command import Prepared
from resnet.errors import PipelineError
from resnet.registry import store
from resnet.system import progress

MEASURES = "evaluate"  # the stage that measures times: nothing else may work beside it till then


class Publication:
    """`resnet publish` in the tree of a run."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree
        self._prepared: Prepared | None = None

    def listen(self, line: str) -> None:
        """Start the process when the line of a stage says that it has measured all.

        From then on the stage draws pictures, on one core; the process imports TensorFlow and
        MLflow meanwhile. When `export` measures, at its end, it only waits. Where it cannot be
        started, the stage goes on: `run` needs none.
        """
        if progress.fraction(line) == (MEASURES, 1.0) and self._prepared is None:
            with suppress(OSError):
                self._prepared = Prepared("publish", self._tree)

    def run(self, cause: str | None) -> None:
        """Publish, in a new process where none waits. Raises UnreachableError for the store."""
        prepared, self._prepared = self._prepared, None
        say = progress_logger("publish")
        try:
            if prepared and prepared.waits:
                prepared.run({"cause": cause}, say)
            else:
                command.run(["publish", *(["--cause", cause] if cause else [])], self._tree, say)
        except PipelineError:
            store.client(self._tree)
            raise
        finally:
            if prepared:
                prepared.close()

    def close(self) -> None:
        """End the process, if it was not wanted."""
        if self._prepared:
            self._prepared.close()


@contextmanager
def publication(tree: Path) -> Iterator[Publication]:
    """A publication for the time of the block."""
    one = Publication(tree)
    try:
        yield one
    finally:
        one.close()
