"""Score images with a version of the registry: its model, its classes, its number in each row."""

import tempfile
from pathlib import Path

from resnet.registry import store, versions
from resnet.registry.versions import Version
from resnet.serving.predict import Summary, score


def score_registered(
    root: Path, name: str, selector: str, source: Path, out: Path
) -> tuple[Version, Summary]:
    """Score the images in `source` with a version of `name`; predictions go to `out` as parquet.

    `selector` is a number or an alias. Raises PipelineError where `score` does, or where the
    registry has no such version or not its files.
    """
    client = store.client(root)
    version = versions.resolve(client, name, selector)
    with tempfile.TemporaryDirectory() as folder:
        model = versions.download(client, version, Path(folder))
        classes = versions.classes(client, version, Path(folder))
        columns: dict[str, str | int] = {"model": version.name, "version": version.number}
        return version, score(model, source, out, classes, columns)
