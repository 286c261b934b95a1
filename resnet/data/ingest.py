"""Turn the verified raw files, and the samples that were added, into arrays and a profile.

paths.raw, paths.extra → paths.arrays (see `resnet.data.arrays`) and paths.profile (JSON).
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet import params
from resnet.data import additions, arrays, readers
from resnet.data.additions import AddedBatch
from resnet.data.arrays import Split, SplitName
from resnet.data.datasets import Dataset
from resnet.data.readers import Indices, Stored
from resnet.errors import PipelineError
from resnet.forms import statistics
from resnet.forms.names import NOUNS
from resnet.system import disk_errors, files


def ingest(dataset: Dataset, data: params.Data, paths: params.Paths) -> None:
    """Write the arrays and the profile of the data set in paths.raw and of the added samples.

    Added samples come after the others of the training split, and into no other split. Raises
    PipelineError if a raw file is not the published one or not in the data
    set's form, if data.validation cannot be held out, or if an added batch is not as `additions`
    wants it or holds samples that are held out; then the arrays and the profile stay as they were.
    """
    dataset.verify(paths.raw, str(paths.raw), "run 'resnet fetch' or 'dvc repro'")
    training, test = readers.read(dataset, paths.raw)
    trained, held_out = split(training.labels_n, data.validation, data.seed, len(dataset.classes))
    batches = additions.batches(paths.extra)
    added = {batch: additions.read(batch, dataset) for batch in batches}
    parts: dict[SplitName, tuple[Stored, Indices]] = {
        "train": (training, trained),
        "validation": (training, held_out),
        "test": (test, np.arange(len(test.labels_n))),
    }
    with disk_errors.explain_write_errors(paths.arrays), files.replacing(paths.arrays) as draft:
        draft.mkdir()
        for name, (stored, indices) in parts.items():
            more = added.values() if name == "train" else ()
            _write(draft, name, dataset, stored, indices, more)
        form, shape = dataset.form, dataset.shape
        splits = {name: arrays.read(draft, name, form, shape) for name in arrays.SPLITS}
        _require_disjoint(added, splits, dataset)
        files.write_json(paths.profile, describe(dataset, splits, added))
    counts = ", ".join(f"{len(split.labels_n)} {name}" for name, split in splits.items())
    names = f", with {', '.join(batch.name for batch in added)} added" if added else ""
    noun = NOUNS[dataset.form]
    print(f"ingest: {dataset.name}: {counts} {noun} in {paths.arrays}{names}", flush=True)


def split(
    labels_n: NDArray[np.uint8], validation: int, seed: int, classes: int
) -> tuple[Indices, Indices]:
    """Indices for training and for validation, each ascending, the latter `validation` in all.

    A pure function of its arguments, on every machine and with every version: of each class, the
    samples are held out whose SHA-256 of "seed:index" is smallest. So a larger validation split
    contains each smaller one of the same seed. Raises PipelineError if `validation` is not a
    multiple of `classes`, or leaves a class without a training sample.
    """
    per_class, rest = divmod(validation, classes)
    smallest = int(np.bincount(labels_n, minlength=classes).min())
    if rest or per_class >= smallest:
        raise PipelineError(
            f"data.validation is {validation}: want a multiple of {classes}, the same number of "
            f"each class, and at most {classes * (smallest - 1)}; change it in params.yaml"
        )
    keys = [hashlib.sha256(f"{seed}:{n}".encode()).digest() for n in range(len(labels_n))]
    held_out = np.zeros(len(labels_n), bool)
    for label in range(classes):
        of_class = sorted(np.flatnonzero(labels_n == label).tolist(), key=keys.__getitem__)
        held_out[of_class[:per_class]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def describe(
    dataset: Dataset, splits: Mapping[SplitName, Split], added: Mapping[AddedBatch, Split]
) -> dict[str, Any]:
    """The profile: what enters training, and how many samples the splits share."""
    train = splits["train"]
    mean, deviation = statistics.of(dataset.form).channel_moments(train.images_nhwc)
    histograms = statistics.histograms(dataset.form, train.images_nhwc)
    seen = {name: set(arrays.fingerprints(split.images_nhwc)) for name, split in splits.items()}
    return {
        "dataset": dataset.name,
        "source": dataset.digest,
        "form": dataset.form,
        "shape": list(dataset.shape),
        "extra": {
            batch.name: {"md5": batch.md5, "images": len(images.labels_n)}
            for batch, images in added.items()
        },
        "classes": list(dataset.classes),
        "mean": mean,
        "deviation": deviation,
        **{name: histogram.as_dict() for name, histogram in histograms.items()},
        "counts": {name: _counts(split, dataset.classes) for name, split in splits.items()},
        "duplicates": {f"{a}-{b}": len(seen[a] & seen[b]) for a, b in combinations(seen, 2)},
    }


def _counts(split: Split, classes: tuple[str, ...]) -> dict[str, int]:
    """The number of samples of each class."""
    counts = np.bincount(split.labels_n, minlength=len(classes)).tolist()
    return dict(zip(classes, counts, strict=True))


def _require_disjoint(
    added: Mapping[AddedBatch, Split], splits: Mapping[SplitName, Split], dataset: Dataset
) -> None:
    """Raise PipelineError if an added sample is held out. Without them it costs nothing."""
    if added:
        held_out = {
            name: set(arrays.fingerprints(splits[name].images_nhwc))
            for name in ("validation", "test")
        }
        for batch, samples in added.items():
            additions.require_disjoint(batch, samples, held_out, dataset)


def _write(
    folder: Path,
    name: SplitName,
    dataset: Dataset,
    stored: Stored,
    indices: Indices,
    added: Collection[Split],
) -> None:
    """The `stored` samples that `indices` name, and after them those that were added."""

    def parts() -> Iterator[NDArray[np.uint8]]:
        yield from stored.samples(indices)
        yield from (split.images_nhwc for split in added)

    labels = [stored.labels_n[indices], *(split.labels_n for split in added)]
    count, samples = sum(map(len, labels)), arrays.samples_file(folder, name, dataset.form)
    arrays.write(samples, (count, *dataset.shape), parts())
    arrays.write(arrays.labels_file(folder, name), (count,), iter(labels))
