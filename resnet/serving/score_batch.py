"""Score images with a version of the registry: predictions in a file, a record of the batch there.

Its model, its classes, its number in each row; what `monitor` compares later is kept beside it.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from resnet.errors import PipelineError, UnreachableError
from resnet.forms.histogram import Histogram
from resnet.monitoring import reference, scored_batches
from resnet.monitoring.features import Features
from resnet.monitoring.scored_batches import Batch
from resnet.registry import store, versions
from resnet.registry.ledger.event import stamp
from resnet.registry.store import Client
from resnet.registry.versions import Version
from resnet.serving.predict import score
from resnet.system import processes


@dataclass(frozen=True)
class Scored:
    """What was said of some images, by which version, and what is kept of it."""

    version: Version
    features: Features
    training: Mapping[str, Histogram]  # brightness and contrast of its training images, if known
    out: Path
    batch: Batch | None = None  # None where it was not to be recorded
    new: bool = False  # whether it was not recorded before

    def __str__(self) -> str:
        images = self.features.images
        return "\n".join(
            [
                f"{images} images scored by {self.version}: {self.out}",
                *(f"  {label:<12}{count:>7}" for label, count in self.features.classes.items()),
                f"  mean confidence {self.features.confidence.mean:.1%}",
                *(self._light(name) for name in reference.LIGHT),
                *([self._kept(self.batch)] if self.batch else []),
            ]
        )

    def _light(self, name: str) -> str:
        found = getattr(self.features, name).mean
        if name not in self.training:
            return f"  {name} {found:.1f}"
        known = self.training[name].mean
        return f"  {name} {found:.1f}, {found - known:+.1f} from the training images' {known:.1f}"

    def _kept(self, batch: Batch) -> str:
        if self.new:
            return f"recorded in {batch.model}{scored_batches.SUFFIX}"
        return (
            f"already recorded in {batch.model}{scored_batches.SUFFIX}: this version has scored "
            f"the same images on {batch.time[:19].replace('T', ' ')} UTC"
        )


def score_registered(
    root: Path,
    name: str,
    selector: str,
    source: Path,
    out: Path,
    *,
    record: bool = True,
    flow_run: str | None = None,
) -> Scored:
    """Score the images in `source` with a version of `name`; predictions go to `out` as parquet.

    `selector` is a number or an alias. Then the batch is recorded, unless `record` is False.
    Raises PipelineError where `score` does, or where the registry has no such version or not its
    files; and where it does not take the record, with the predictions already in `out`.
    """
    client, now = store.client(root), datetime.now(UTC)
    version = versions.resolve(client, name, selector)
    with tempfile.TemporaryDirectory() as folder:
        model = versions.download(client, version, Path(folder))
        classes = versions.classes(client, version, Path(folder))
        training = reference.light(client, version, Path(folder))
        origin: dict[str, str | int | datetime] = {
            "model": version.name,
            "version": version.number,
            "time": now,
        }
        summary = score(model, source, out, classes, origin)
    scored = Scored(version, summary.features, training, out)
    if not record:
        return scored
    batch = Batch(
        version.name,
        version.number,
        summary.images_hash,
        summary.features,
        stamp(now),
        str(source),
        str(out),
        processes.actor(),
        flow_run,
    )
    kept, new = _record(root, client, batch, scored)
    return Scored(version, summary.features, training, out, kept, new)


def _record(root: Path, client: Client, batch: Batch, scored: Scored) -> tuple[Batch, bool]:
    try:
        with store.one_at_a_time(root, "record"):
            return scored_batches.record(client, batch, scored.training)
    except (*store.UNAVAILABLE, PipelineError) as error:
        kind = UnreachableError if isinstance(error, UnreachableError) else PipelineError
        raise kind(
            f"{scored.out} is written, {scored.features.images} images scored by {scored.version}; "
            f"but the batch is not recorded, so 'resnet monitor' will not see it: {error}. Run "
            "this again when that is mended, or with --no-record"
        ) from error
