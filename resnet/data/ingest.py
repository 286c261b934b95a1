"""Turn the verified raw files, and the images that were added, into arrays and a profile.

paths.raw, paths.extra → paths.arrays ({split}_images.npy, {split}_labels.npy) and paths.profile
(JSON).
"""

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from resnet import files, params
from resnet.data import arrays, datasets, disk, extra, statistics, unpickle
from resnet.data.arrays import Split, SplitName
from resnet.data.datasets import Dataset
from resnet.data.extra import Batch
from resnet.errors import PipelineError

Indices: TypeAlias = NDArray[np.intp]
PIXELS = math.prod(arrays.IMAGE)
PART = 5000  # images turned from channels first to channels last at a time


def ingest(data: params.Data, paths: params.Paths) -> None:
    """Write the arrays and the profile of the data set in paths.raw and of what was added to it.

    Added images come after the others of the training split, and into no other. Raises
    PipelineError where a raw file is not the published one or has another form than CIFAR-10's,
    data.validation cannot be held out, or an added batch is not as `extra` wants it or holds images
    that are held out; then arrays and profile stay as they were.
    """
    convert(datasets.load(data.dataset), data, paths)


def convert(dataset: Dataset, data: params.Data, paths: params.Paths) -> None:
    """`ingest` of a data set."""
    dataset.verify(paths.raw, str(paths.raw), "run 'resnet fetch' or 'dvc repro'")
    _check_meta(paths.raw / "batches.meta", dataset)
    training = _read(paths.raw, dataset.training_batches, dataset)
    test = _read(paths.raw, ["test_batch"], dataset)
    trained, held_out = split(training.labels_n, data.validation, data.seed, len(dataset.classes))
    added = {one: extra.read(one, dataset.classes) for one in extra.batches(paths.extra)}
    chosen: dict[SplitName, tuple[_Stored, Indices]] = {
        "train": (training, trained),
        "validation": (training, held_out),
        "test": (test, np.arange(len(test.labels_n))),
    }
    with disk.writing(paths.arrays), files.replacing(paths.arrays) as draft:
        draft.mkdir()
        for name, (stored, indices) in chosen.items():
            _write(draft, name, stored, indices, added.values() if name == "train" else ())
        splits = {name: arrays.load(draft, name) for name in arrays.SPLITS}
        _must_be_apart(added, splits)
        files.write_json(paths.profile, describe(dataset, splits, added))
    images = ", ".join(f"{len(one.labels_n)} {name}" for name, one in splits.items())
    names = f", {', '.join(one.name for one in added)} among them" if added else ""
    print(f"ingest: {dataset.name}: {images} images in {paths.arrays}{names}", flush=True)


def split(
    labels_n: NDArray[np.uint8], validation: int, seed: int, classes: int
) -> tuple[Indices, Indices]:
    """Indices for training and for validation, each ascending, the latter `validation` in all.

    A pure function of its arguments, on every machine and version: of each class, those images
    are held out whose SHA-256 of "seed:index" is smallest. So a larger validation split holds
    each smaller one of the same seed. Raises PipelineError where `validation` is no multiple of
    `classes`, or leaves a class without a training image.
    """
    each, rest = divmod(validation, classes)
    fewest = int(np.bincount(labels_n, minlength=classes).min())
    if rest or each >= fewest:
        raise PipelineError(
            f"data.validation is {validation}: want a multiple of {classes}, the same number of "
            f"each class, and at most {classes * (fewest - 1)}; change it in params.yaml"
        )
    drawn = [hashlib.sha256(f"{seed}:{n}".encode()).digest() for n in range(len(labels_n))]
    held_out = np.zeros(len(labels_n), bool)
    for label in range(classes):
        of = sorted(np.flatnonzero(labels_n == label).tolist(), key=drawn.__getitem__)
        held_out[of[:each]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def describe(
    dataset: Dataset, splits: Mapping[SplitName, Split], added: Mapping[Batch, Split]
) -> dict[str, Any]:
    """The profile: what enters training, and whether the splits are apart."""
    train = splits["train"]
    mean, deviation = _moments(train.images_nhwc)
    seen = {name: set(arrays.fingerprints(one.images_nhwc)) for name, one in splits.items()}
    return {
        "dataset": dataset.name,
        "source": dataset.digest,
        "extra": {
            batch.name: {"md5": batch.md5, "images": len(one.labels_n)}
            for batch, one in added.items()
        },
        "classes": list(dataset.classes),
        "mean": mean,
        "deviation": deviation,
        **{name: one.as_dict() for name, one in statistics.describe(train.images_nhwc).items()},
        "counts": {
            name: dict(
                zip(
                    dataset.classes,
                    np.bincount(one.labels_n, minlength=len(dataset.classes)).tolist(),
                    strict=True,
                )
            )
            for name, one in splits.items()
        },
        "duplicates": {f"{a}-{b}": len(seen[a] & seen[b]) for a, b in combinations(seen, 2)},
    }


@dataclass(frozen=True)
class _Stored:
    """Batches as stored: rows_np (N, 3072) uint8, red, green, blue planes; labels_n (N,)."""

    rows_np: NDArray[np.uint8]
    labels_n: NDArray[np.uint8]


def _check_meta(path: Path, dataset: Dataset) -> None:
    meta = unpickle.load(path)
    found = [one.decode("latin-1") for one in meta.get(b"label_names", [])]
    if found != list(dataset.classes):
        raise PipelineError(
            f"{path} names the classes {', '.join(found)}, the manifest of {dataset.name} "
            f"{', '.join(dataset.classes)}: run 'resnet fetch' again"
        )


def _read(raw: Path, names: list[str], dataset: Dataset) -> _Stored:
    """The batches one after the other. Raises PipelineError where one has another form."""
    number, classes = dataset.images_per_batch, len(dataset.classes)
    stored = _Stored(
        np.empty((number * len(names), PIXELS), np.uint8),
        np.empty(number * len(names), np.uint8),
    )
    for start, name in zip(range(0, len(stored.labels_n), number), names, strict=True):
        rows_np, labels = _batch(raw / name, number, classes)
        stored.rows_np[start : start + number] = rows_np
        stored.labels_n[start : start + number] = labels
    counts = np.bincount(stored.labels_n, minlength=classes)
    if len(set(counts.tolist())) != 1:
        raise PipelineError(
            f"{raw}: {', '.join(names)} hold {counts.tolist()} images of the {classes} classes, "
            "want the same number of each: run 'resnet fetch' again"
        )
    return stored


def _batch(path: Path, number: int, classes: int) -> tuple[NDArray[np.uint8], list[int]]:
    """One file's images, (number, 3072), and labels, each from 0 to classes - 1."""
    values = unpickle.load(path)
    advice = "run 'resnet fetch' again"
    if missing := {b"data", b"labels"} - values.keys():
        raise PipelineError(f"{path} has no {sorted(missing)}: {advice}")
    rows_np, labels = values[b"data"], values[b"labels"]
    if not isinstance(rows_np, np.ndarray) or rows_np.shape != (number, PIXELS):
        found = getattr(rows_np, "shape", type(rows_np).__name__)
        raise PipelineError(f"{path}: data is {found}, want ({number}, {PIXELS}): {advice}")
    if not isinstance(labels, list) or len(labels) != number:
        raise PipelineError(f"{path}: labels are not a list of {number}: {advice}")
    wrong = [one for one in labels if not isinstance(one, int) or not 0 <= one < classes]
    if wrong:
        raise PipelineError(f"{path}: label {wrong[0]!r}, want 0 to {classes - 1}: {advice}")
    return rows_np, labels


def _must_be_apart(added: Mapping[Batch, Split], splits: Mapping[SplitName, Split]) -> None:
    """Raise PipelineError where an added image is held out. Without any it costs nothing."""
    if added:
        held_out = {
            name: set(arrays.fingerprints(splits[name].images_nhwc))
            for name in ("validation", "test")
        }
        for batch, one in added.items():
            extra.must_be_apart(batch, one, held_out)


def _write(
    folder: Path, name: SplitName, stored: _Stored, indices: Indices, added: Collection[Split]
) -> None:
    """Those of the images `stored` that `indices` name, and after them those that were added."""

    def parts() -> Iterator[NDArray[np.uint8]]:
        for start in range(0, len(indices), PART):
            rows_np = stored.rows_np[indices[start : start + PART]]
            yield rows_np.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        yield from (one.images_nhwc for one in added)

    labels = [stored.labels_n[indices], *(one.labels_n for one in added)]
    images = sum(map(len, labels))
    arrays.write(folder / f"{name}_images.npy", (images, *arrays.IMAGE), parts())
    arrays.write(folder / f"{name}_labels.npy", (images,), iter(labels))


def _moments(images_nhwc: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel, in units of 0..255, exact: from counts of values."""
    mean, deviation = [], []
    for channel in range(arrays.IMAGE[-1]):
        counts = np.zeros(256, np.int64)
        for start in range(0, len(images_nhwc), PART):
            part = images_nhwc[start : start + PART, :, :, channel]
            counts += np.bincount(part.ravel(), minlength=256)
        number, total, squares = (
            sum(int(count) * value**power for value, count in enumerate(counts))
            for power in (0, 1, 2)
        )
        mean.append(total / number)
        deviation.append(math.sqrt((number * squares - total * total) / number**2))
    return mean, deviation
