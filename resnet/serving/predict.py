"""Score raw samples with a published model: files or parquet in, predictions out.

`Scorer` and `rows` work in memory; `score` reads and writes files around them, part by part.
"""

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from resnet.data.profile import Profile
from resnet.errors import PipelineError
from resnet.model import model_file
from resnet.model.forward import compiled, in_batches
from resnet.model.precision import Precision
from resnet.monitoring.features import Features, Observations
from resnet.serving import sources
from resnet.serving.sources import Samples, Source
from resnet.system import disk_errors, files
from resnet.system.processes import Say

BATCH = 256  # samples per call of the model
GROUP = 64  # calls per row group of the file


class Scorer:
    """A model that is made ready to score once, for any number of calls."""

    def __init__(self, model: Any, precision: Precision = "float32") -> None:
        """Fold a `keras.Model`; the first call compiles it."""
        self._forward = compiled(model, precision)

    def __call__(self, images_nhwc: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probabilities (N, classes) of at least one sample (N, …)."""
        return in_batches(self._forward, images_nhwc, BATCH)


@dataclass(frozen=True)
class ScoredSamples:
    """What was scored, and what was predicted, without samples and rows."""

    images_hash: str
    features: Features


def score(
    model: Path,
    source: Path,
    out: Path,
    data: Profile,
    origin: Mapping[str, str | int | datetime],
    say: Say = lambda line: None,
    precision: Precision = "float32",
) -> ScoredSamples:
    """Score the samples in `source` with the model.keras file `model`; `rows` are written to `out`.

    `data` is the profile of what it was trained on. Only a part of samples and rows is in memory.
    `say` hears what will be scored. Raises PipelineError, and leaves `out` as it was, as
    `sources.find` and `require_probabilities` do, and if `out` is a folder or in none, one of the
    files that are read, no .parquet file, or cannot be written.
    """
    samples = sources.find(source, data)
    _require_writable(samples, out)
    say(samples.summary)
    scorer, digest = Scorer(model_file.load(model), precision), hashlib.sha256()
    observed, classes = Observations(data.form), data.classes

    def score_chunk(chunk: Samples) -> pa.Table:
        probabilities_nk = scorer(chunk.images_nhwc)
        require_probabilities(probabilities_nk, classes, model)
        observed.add(chunk.images_nhwc, probabilities_nk)
        digest.update(chunk.images_nhwc.data)
        return rows(chunk, probabilities_nk, classes, origin)

    with disk_errors.explain_write_errors(out), files.replacing(out) as draft:
        _write(draft, map(score_chunk, samples.chunks(BATCH)))
    return ScoredSamples(digest.hexdigest(), observed.features(classes))


def _write(path: Path, tables: Iterator[pa.Table]) -> None:
    """At least one table, one after the other, as a parquet file."""
    first = next(tables)
    with parquet.ParquetWriter(path, first.schema) as writer:
        rest = itertools.chain([first], tables)
        while group := list(itertools.islice(rest, GROUP)):
            writer.write_table(pa.concat_tables(group))


def require_probabilities(
    probabilities_nk: NDArray[np.float32], classes: Sequence[str], model: object
) -> None:
    """Raise PipelineError, naming the `model`, unless each class has a probability in each row."""
    if probabilities_nk.shape[1] != len(classes):
        raise PipelineError(
            f"{model} has {probabilities_nk.shape[1]} classes, but there are {len(classes)} class "
            "names: use the model's own names"
        )
    if not np.isfinite(probabilities_nk).all():
        raise PipelineError(
            f"{model} returns NaN instead of probabilities: it is broken; use another"
        )


def rows(
    samples: Samples,
    probabilities_nk: NDArray[np.float32],
    classes: Sequence[str],
    origin: Mapping[str, str | int | datetime],
) -> pa.Table:
    """One row per sample, in their order.

    Its columns are path, label (the name of the likeliest class), predicted (its index), confidence
    (its probability), one probability per class (p_cat, p_dog, …), a column for each entry of
    `origin`, and, if the source has labels, these as `actual`.
    """
    predicted_n = probabilities_nk.argmax(axis=1).astype(np.uint8)
    columns: dict[str, Any] = {
        "path": samples.names,
        "label": pa.array([classes[k] for k in predicted_n]),
        "predicted": predicted_n,
        "confidence": probabilities_nk.max(axis=1),
        **{f"p_{name}": column for name, column in zip(classes, probabilities_nk.T, strict=True)},
        **{name: pa.repeat(value, len(predicted_n)) for name, value in origin.items()},
    }
    if samples.actual is not None:
        columns["actual"] = samples.actual
    return pa.table(columns)


def _require_writable(samples: Source, out: Path) -> None:
    """Raise PipelineError if `out` is no .parquet file in a folder, or is one that is read."""
    if out.is_dir():
        raise PipelineError(f"{out} is a folder: name the parquet file to write")
    if out.exists() and any(path.samefile(out) for path in samples.paths()):  # by whatever name
        raise PipelineError(
            f"{out} is among the files to score, and the predictions would replace it: name "
            "another file to write (--out)"
        )
    if out.suffix != ".parquet":
        raise PipelineError(f"{out} is not a .parquet file: name one to write (--out)")
    files.require_folder(out)
