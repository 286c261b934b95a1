"""Check a registered version: its file is intact, loads, and predicts as when it was published."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resnet.checkout import command
from resnet.errors import PipelineError
from resnet.registry import versions
from resnet.registry.store import Client
from resnet.registry.versions import Version


def require_working(root: Path, client: Client, version: Version) -> None:
    """Raise PipelineError unless `version` can be downloaded and loaded, and predicts as before.

    TensorFlow runs in a child process of the checkout at `root`, and sees no GPU.
    """
    with _files(client, version) as (model, probe):
        arguments = ["probe", str(model), str(probe), "--model-hash", version.model_hash]
        try:
            command.run(arguments, root, say=lambda line: None)
        except PipelineError as error:
            raise PipelineError(
                f"{version} failed its load test: {error}; no alias names it now. Use another "
                "version, or publish the model again"
            ) from error


def require_intact(root: Path, client: Client, version: Version) -> None:
    """Raise PipelineError unless the files of `version` exist, the model's byte for byte.

    That is enough if these bytes were loaded and probed a moment ago, as `publish` does when it
    creates a version.
    """
    with _files(client, version):
        pass


@contextmanager
def _files(client: Client, version: Version) -> Iterator[tuple[Path, Path]]:
    """The version's model.keras and its probe, as temporary files in the block."""
    with tempfile.TemporaryDirectory() as folder:
        model = versions.download(client, version, Path(folder))
        try:
            probe = versions.fetch(client, version, versions.PROBE_FILE, Path(folder))
        except PipelineError as error:
            raise PipelineError(
                f"{error}. Without it the version cannot be checked, so no alias may name it; "
                "'resnet publish' adds it as long as the model is in the stage outputs"
            ) from error
        yield model, probe
