"""Whether a registered version works: its file is whole, loads, and answers as when published."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resnet.checkout import command
from resnet.errors import PipelineError
from resnet.registry import versions
from resnet.registry.store import Client
from resnet.registry.versions import Version


def must_work(root: Path, client: Client, version: Version) -> None:
    """Raise PipelineError unless `version` can be downloaded and loaded, and gives its answers.

    TensorFlow runs in a child process of the checkout at `root`, and sees no GPU.
    """
    with _files(client, version) as (model, probe):
        words = ["probe", str(model), str(probe), "--model-hash", version.model_hash]
        try:
            command.run(words, root, say=lambda line: None)
        except PipelineError as error:
            raise PipelineError(
                f"{version} does not work: {error}. It does not come into production; take another "
                "version, or publish the model again"
            ) from error


def must_be_whole(root: Path, client: Client, version: Version) -> None:
    """Raise PipelineError unless the files of `version` are there, the model's byte for byte.

    That is enough where these bytes were loaded and asked a moment ago, as `publish` does when it
    makes a version.
    """
    with _files(client, version):
        pass


@contextmanager
def _files(client: Client, version: Version) -> Iterator[tuple[Path, Path]]:
    """The version's model.keras and its probe, for the time of the block."""
    with tempfile.TemporaryDirectory() as folder:
        model = versions.download(client, version, Path(folder))
        try:
            probe = versions.fetch(client, version, versions.PROBE_FILE, Path(folder))
        except PipelineError as error:
            raise PipelineError(
                f"{error}. Without it the version cannot be checked, and does not come into "
                "production; 'resnet publish' adds it while the model is in the stage outputs"
            ) from error
        yield model, probe
