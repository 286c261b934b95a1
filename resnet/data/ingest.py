"""Turn the verified raw files, and the images that were added, into arrays and a profile.

paths.raw, paths.extra → paths.arrays ({split}_images.npy, {split}_labels.npy) and paths.profile
(JSON).
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet import params
from resnet.data import additions, arrays, datasets
from resnet.data.additions import AddedBatch
from resnet.data.arrays import Split, SplitName
from resnet.data.datasets import Dataset
from resnet.data.sets import cifar10
from resnet.data.sets.cifar10 import Indices, Stored
from resnet.errors import PipelineError
from resnet.forms.image import statistics
from resnet.forms.image.shape import IMAGE
from resnet.system import disk_errors, files


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
    training, test = cifar10.read(paths.raw, dataset)
    trained, held_out = split(training.labels_n, data.validation, data.seed, len(dataset.classes))
    added = {one: additions.read(one, dataset.classes) for one in additions.batches(paths.extra)}
    chosen: dict[SplitName, tuple[Stored, Indices]] = {
        "train": (training, trained),
        "validation": (training, held_out),
        "test": (test, np.arange(len(test.labels_n))),
    }
    with disk_errors.writing(paths.arrays), files.replacing(paths.arrays) as draft:
        draft.mkdir()
        for name, (stored, indices) in chosen.items():
            _write(draft, name, stored, indices, added.values() if name == "train" else ())
        splits = {name: arrays.load(draft, name) for name in arrays.SPLITS}
        _require_disjoint(added, splits)
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
    dataset: Dataset, splits: Mapping[SplitName, Split], added: Mapping[AddedBatch, Split]
) -> dict[str, Any]:
    """The profile: what enters training, and whether the splits are apart."""
    train = splits["train"]
    mean, deviation = statistics.channel_moments(train.images_nhwc)
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


def _require_disjoint(added: Mapping[AddedBatch, Split], splits: Mapping[SplitName, Split]) -> None:
    """Raise PipelineError where an added image is held out. Without any it costs nothing."""
    if added:
        held_out = {
            name: set(arrays.fingerprints(splits[name].images_nhwc))
            for name in ("validation", "test")
        }
        for batch, one in added.items():
            additions.require_disjoint(batch, one, held_out)


def _write(
    folder: Path, name: SplitName, stored: Stored, indices: Indices, added: Collection[Split]
) -> None:
    """Those of the images `stored` that `indices` name, and after them those that were added."""

    def parts() -> Iterator[NDArray[np.uint8]]:
        yield from stored.images(indices)
        yield from (one.images_nhwc for one in added)

    labels = [stored.labels_n[indices], *(one.labels_n for one in added)]
    images = sum(map(len, labels))
    arrays.write(folder / f"{name}_images.npy", (images, *IMAGE), parts())
    arrays.write(folder / f"{name}_labels.npy", (images,), iter(labels))
