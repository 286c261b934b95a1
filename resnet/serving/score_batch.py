"""Score samples with a registered version: predictions in a file, a record of the batch in MLflow.

The version gives the model and the class names, and is named in each row; the record holds what
`monitor` compares later.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import keras

from resnet.errors import PipelineError, UnreachableError
from resnet.forms.histogram import Histogram
from resnet.forms.names import NOUNS, counted
from resnet.model import backend
from resnet.model.precision import Choice, Precision, has_bfloat16
from resnet.monitoring import reference, scored_batches
from resnet.monitoring.features import Features
from resnet.monitoring.scored_batches import ScoredBatch
from resnet.registry import store, versions
from resnet.registry.ledger.event import second, utc_iso
from resnet.registry.store import Client
from resnet.registry.versions import Version
from resnet.serving.predict import score
from resnet.system import processes
from resnet.system.processes import Say


@dataclass(frozen=True)
class ScoringResult:
    """What a version predicted for some samples, and what is recorded of it."""

    version: Version
    features: Features
    training: Mapping[str, Histogram]  # features of its training samples, if known
    out: Path
    batch: ScoredBatch | None = None  # None if it was not to be recorded
    new: bool = False  # whether it was not recorded before

    def __str__(self) -> str:
        features = self.features
        return "\n".join(
            [
                f"{counted(features.form, features.images)} scored by {self.version}: {self.out}",
                *(f"  {label:<12}{count:>7}" for label, count in features.classes.items()),
                f"  mean confidence {features.confidence.mean:.1%}",
                *(self._mean(name) for name in features.samples),
                *([self._recorded(self.batch)] if self.batch else []),
            ]
        )

    def _mean(self, name: str) -> str:
        mean, noun = self.features.samples[name].mean, NOUNS[self.features.form]
        if name not in self.training:
            return f"  {name} {mean:.1f}"
        known = self.training[name].mean
        return f"  {name} {mean:.1f}, {mean - known:+.1f} from the training {noun}' {known:.1f}"

    def _recorded(self, batch: ScoredBatch) -> str:
        if self.new:
            return f"recorded in {batch.model}{scored_batches.SUFFIX}"
        return (
            f"already recorded in {batch.model}{scored_batches.SUFFIX}: this version has scored "
            f"the same {NOUNS[self.features.form]} on {second(batch.time)} UTC"
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
    say: Say = lambda line: None,
) -> ScoringResult:
    """Score the samples in `source` with a version of `name`; predictions go to `out` as parquet.

    `selector` is a number or an alias; `say` hears what will be scored. Then the batch is recorded,
    unless `record` is False. Raises PipelineError as `score` does, and if the registry lacks the
    version or its files; and if the batch cannot be recorded, with the predictions in `out`.
    """
    client, now = store.client(root), datetime.now(UTC)
    version = versions.resolve(client, name, selector)
    with tempfile.TemporaryDirectory() as folder:
        model = versions.download(client, version, Path(folder))
        profile = versions.data_profile(client, version, Path(folder))
        training = reference.of_training(version, profile)
        precision = _precision(client, version, Path(folder), say)
        origin: dict[str, str | int | datetime] = {
            "model": version.name,
            "version": version.number,
            "time": now,
            "precision": precision,
        }
        scored = score(model, source, out, profile, origin, say, precision)
    result = ScoringResult(version, scored.features, training, out)
    if not record:
        return result
    batch = ScoredBatch(
        version.name,
        version.number,
        scored.images_hash,
        scored.features,
        utc_iso(now),
        str(source),
        str(out),
        processes.actor(),
        flow_run,
        version.model_hash or None,
    )
    recorded, new = _record(client, batch, result)
    return replace(result, batch=recorded, new=new)


def _precision(client: Client, version: Version, into: Path, say: Say) -> Precision:
    """The precision to score with `version` here, as its evaluation says, which `say` is told.

    Nothing is read on a CPU without instructions for bfloat16: it is float32 there.
    """
    if not has_bfloat16(backend.cpu_flags()):
        return "float32"
    try:
        recorded = versions.evaluation(client, version, into).scoring
        choice = (
            recorded.here(keras.config.backend())
            if recorded
            else Choice("float32", "its evaluation, of an earlier release, compared no other")
        )
    except UnreachableError:
        raise
    except PipelineError as error:
        choice = Choice("float32", str(error))
    say(f"scoring in {choice.precision}: {choice.reason}")
    return choice.precision


def _record(client: Client, batch: ScoredBatch, result: ScoringResult) -> tuple[ScoredBatch, bool]:
    try:
        return scored_batches.record(client, batch, result.training)
    except (*store.UNAVAILABLE, PipelineError) as error:
        scored = counted(result.features.form, result.features.images)
        kind = UnreachableError if isinstance(error, UnreachableError) else PipelineError
        raise kind(
            f"{result.out} is written, {scored} scored by {result.version}; but the batch is "
            f"not recorded, so 'resnet monitor' will not see it: {error}. Fix "
            "this and run the command again, or run it with --no-record"
        ) from error
