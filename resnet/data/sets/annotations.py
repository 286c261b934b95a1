"""What publications say about the test images: published files → facts, one entry per image.

- near-duplicates: test images that look nearly like one of the training images (Barz and Denzler
  2020, "Do We Train on Test Data? Purging CIFAR of Near-Duplicates").
- label-errors: test images whose label most of five people did not choose (Northcutt et al. 2021,
  "Pervasive Label Errors in Test Sets").
- human-labels: how many of about fifty people chose each class for each test image (Peterson et
  al. 2019, "Human Uncertainty Makes Classification More Robust").
"""

import csv
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from resnet import params
from resnet.data.datasets import Dataset, File, Published
from resnet.errors import PipelineError
from resnet.system import disk_errors, files

VARIABLE = "CIFAR10_ANNOTATIONS"
LIST = "names.json"  # which annotations a folder has
PEOPLE = 5  # who were asked about each questionable label
MAJORITY = 3

Shape: TypeAlias = tuple[int, int]
"""The number of test images N, and of classes K."""


@dataclass(frozen=True)
class Annotations:
    """Facts about N test images in the order of the split; None for those not asked for."""

    near_n: NDArray[np.bool_] | None = None  # whether a training image is nearly the same
    wrong_n: NDArray[np.bool_] | None = None  # whether most people chose another label
    people_nk: NDArray[np.float64] | None = None  # the share of people who chose each class


def annotate(
    names: Sequence[str], dataset: Dataset, folder: Path, runtime: params.Runtime, downloads: Path
) -> None:
    """Make `folder` hold the published files of `names`, each verified, the list, and no others.

    They come from the folder CIFAR10_ANNOTATIONS if it is set, else from their publishers through
    the folder `downloads`. Raises PipelineError, and leaves `folder` as it was, if one is not
    available or not the published one.
    """
    with disk_errors.explain_write_errors(folder), files.replacing(folder) as draft:
        draft.mkdir()
        files.write_json(draft / LIST, list(names))  # DVC warns of an empty folder, in every run
        for name in names:
            published = dataset.annotations[name]
            if (user_folder := os.environ.get(VARIABLE)) is None:
                _download(published, downloads, draft / name, runtime)
            else:
                _copy(name, published, Path(user_folder).expanduser(), draft / name)
    print(f"annotate: {', '.join(names) or 'no annotations are asked for'}", flush=True)


def load(folder: Path, names: Sequence[str], images: int, classes: int) -> Annotations:
    """The facts of `names` about a test split of `images` images of `classes` classes.

    Raises PipelineError if a file is not in `folder`, or is not about such a split.
    """
    return Annotations(
        **{
            field: _read(folder / name, reader, (images, classes))
            for name, (field, reader) in READERS.items()
            if name in names
        }
    )


def near_duplicates(path: Path, shape: Shape) -> NDArray[np.bool_]:
    """Whether each test image is in a CSV file's column TestID, (N,)."""
    with path.open(newline="") as stream:
        return _marked([int(row["TestID"]) for row in csv.DictReader(stream)], shape)


def label_errors(path: Path, shape: Shape) -> NDArray[np.bool_]:
    """Whether fewer than three of five people chose each test image's label, (N,)."""
    entries = json.loads(path.read_text())
    if any(sum(entry["mturk"].values()) != PEOPLE for entry in entries):
        raise ValueError(f"want {PEOPLE} votes about each image")
    wrong = [int(entry["id"]) for entry in entries if entry["mturk"]["given"] < MAJORITY]
    return _marked(wrong, shape)


def human_labels(path: Path, shape: Shape) -> NDArray[np.float64]:
    """The share of people who chose each class for each test image, (N, K)."""
    counts_nk = np.load(path, allow_pickle=False)
    if counts_nk.shape != shape or counts_nk.min() < 0 or not counts_nk.sum(axis=1).all():
        raise ValueError(f"want counts of shape {shape}, found {counts_nk.shape}")
    return np.asarray(counts_nk / counts_nk.sum(axis=1, keepdims=True), np.float64)


# Each annotation's field of `Annotations`, and the function that reads it.
READERS: dict[str, tuple[str, Callable[[Path, Shape], Any]]] = {
    "near-duplicates": ("near_n", near_duplicates),
    "label-errors": ("wrong_n", label_errors),
    "human-labels": ("people_nk", human_labels),
}


def _marked(indices: Sequence[int], shape: Shape) -> NDArray[np.bool_]:
    """True at the `indices`, (N,)."""
    marked_n = np.zeros(shape[0], np.bool_)
    if min(indices, default=0) < 0:
        raise ValueError(f"image {min(indices)}, want 0 to {shape[0] - 1}")
    marked_n[list(indices)] = True
    return marked_n


def _read(path: Path, reader: Callable[[Path, Shape], Any], shape: Shape) -> Any:
    advice = "run 'resnet annotate' or 'dvc repro'"
    try:
        return reader(path, shape)
    except FileNotFoundError:
        raise PipelineError(f"{path} is not there: {advice}") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError) as error:
        raise PipelineError(
            f"{path} does not describe {shape[0]} test images of {shape[1]} classes ({error}): "
            f"{advice}"
        ) from error


def _download(published: Published, downloads: Path, path: Path, runtime: params.Runtime) -> None:
    from resnet.data import download  # it needs packages that nobody else does

    name = _file_name(published)
    advice = f"run this again, or set {VARIABLE} to a folder with {name}"
    download.download(published.url, downloads / name, published.file, runtime, advice)
    shutil.move(downloads / name, path)


def _copy(name: str, published: Published, folder: Path, path: Path) -> None:
    """Copy the file from the user's folder. Raises PipelineError if it is not the published one."""
    source = folder / _file_name(published)
    if not source.is_file():
        raise PipelineError(
            f"{source} is not there: put it into the folder that {VARIABLE} names, unset that to "
            f"download it, or remove {name} from evaluate.annotations"
        )
    shutil.copyfile(source, path)
    file = File.of(path)
    if file != published.file:
        raise PipelineError(
            f"{source} has {file.size} bytes with sha256 {file.sha256[:12]}…, the published file "
            f"{published.file.size} with {published.file.sha256[:12]}…: use an intact copy of "
            f"{published.url}"
        )


def _file_name(published: Published) -> str:
    return published.url.rpartition("/")[2]
