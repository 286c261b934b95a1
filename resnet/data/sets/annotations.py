"""What others have found out about the test images: published files → facts, an entry an image.

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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet import params
from resnet.data import datasets
from resnet.data.datasets import File, Published
from resnet.errors import PipelineError
from resnet.system import disk_errors, files

VARIABLE = "CIFAR10_ANNOTATIONS"
PEOPLE = 5  # who were asked about each label in doubt
MAJORITY = 3


@dataclass(frozen=True)
class Annotations:
    """Facts about N test images in the order of the split; None for those not asked for."""

    near_n: NDArray[np.bool_] | None = None  # whether a training image is nearly the same
    wrong_n: NDArray[np.bool_] | None = None  # whether most people chose another label
    people_nk: NDArray[np.float64] | None = None  # the share of people who chose each class


def annotate(names: Sequence[str], dataset: str, folder: Path, runtime: params.Runtime) -> None:
    """Make `folder` hold the published files of `names` and nothing else, each verified.

    They come from the folder CIFAR10_ANNOTATIONS where that is set, else from their publishers.
    Raises PipelineError, and leaves the folder as it was, where one cannot be had, is not the
    published one, or is about another data set.
    """
    published = datasets.load(dataset).annotations
    with disk_errors.writing(folder), files.replacing(folder) as draft:
        draft.mkdir()
        for name in names:
            _bring(name, published[name], draft, runtime)
    print(f"annotate: {', '.join(names) or 'nothing is asked for'}", flush=True)


def load(folder: Path, names: Sequence[str], images: int, classes: int) -> Annotations:
    """The facts of `names`, about a test split of `images` images of `classes` classes.

    Raises PipelineError where a file is not in `folder`, or is not about such a split.
    """
    return Annotations(
        **{
            field: _read(folder / name, reader, (images, classes))
            for name, (field, reader) in READERS.items()
            if name in names
        }
    )


def near_duplicates(path: Path, form: tuple[int, int]) -> NDArray[np.bool_]:
    """Whether each test image is in a CSV file's column TestID, (N,)."""
    with path.open(newline="") as stream:
        return _marked([int(row["TestID"]) for row in csv.DictReader(stream)], form)


def label_errors(path: Path, form: tuple[int, int]) -> NDArray[np.bool_]:
    """Whether fewer than three of five people chose each test image's label, (N,)."""
    entries = json.loads(path.read_text())
    if any(sum(one["mturk"].values()) != PEOPLE for one in entries):
        raise ValueError(f"want {PEOPLE} votes about each image")
    return _marked([int(one["id"]) for one in entries if one["mturk"]["given"] < MAJORITY], form)


def human_labels(path: Path, form: tuple[int, int]) -> NDArray[np.float64]:
    """The share of people who chose each class for each test image, (N, K)."""
    counts_nk = np.load(path, allow_pickle=False)
    if counts_nk.shape != form or counts_nk.min() < 0 or not counts_nk.sum(axis=1).all():
        raise ValueError(f"want counts of shape {form}, found {counts_nk.shape}")
    return np.asarray(counts_nk / counts_nk.sum(axis=1, keepdims=True), np.float64)


READERS: dict[str, tuple[str, Callable[[Path, tuple[int, int]], Any]]] = {
    "near-duplicates": ("near_n", near_duplicates),
    "label-errors": ("wrong_n", label_errors),
    "human-labels": ("people_nk", human_labels),
}


def _marked(indices: Sequence[int], form: tuple[int, int]) -> NDArray[np.bool_]:
    marked_n = np.zeros(form[0], np.bool_)
    if min(indices, default=0) < 0:
        raise ValueError(f"image {min(indices)}, want 0 to {form[0] - 1}")
    marked_n[list(indices)] = True
    return marked_n


def _read(path: Path, reader: Callable[[Path, tuple[int, int]], Any], form: tuple[int, int]) -> Any:
    advice = "run 'resnet annotate' or 'dvc repro'"
    try:
        return reader(path, form)
    except FileNotFoundError:
        raise PipelineError(f"{path} is not there: {advice}") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError) as error:
        raise PipelineError(
            f"{path} does not say of {form[0]} test images of {form[1]} classes what it should "
            f"({error}): {advice}"
        ) from error


def _bring(name: str, published: Published, draft: Path, runtime: params.Runtime) -> None:
    path = draft / name
    if (folder := os.environ.get(VARIABLE)) is None:
        from resnet.data import download  # it needs packages that nobody else does

        ways_out = f"run this again, or set {VARIABLE} to a folder with {_file(published)}"
        with_rest = Path(os.environ.get("RESNET_STATE", ".state")) / "downloads" / _file(published)
        download.download(published.url, with_rest, published.file, runtime, ways_out)
        shutil.move(with_rest, path)
        return
    source = Path(folder).expanduser() / _file(published)
    if not source.is_file():
        raise PipelineError(
            f"{source} is not there: put it into the folder that {VARIABLE} names, unset that to "
            f"download it, or take {name} out of evaluate.annotations"
        )
    shutil.copyfile(source, path)
    found, wanted = File.of(path), published.file
    if found != wanted:
        raise PipelineError(
            f"{source} has {found.size} bytes with sha256 {found.sha256[:12]}…, the published "
            f"file {wanted.size} with {wanted.sha256[:12]}…: take a good copy of {published.url}"
        )


def _file(published: Published) -> str:
    return published.url.rpartition("/")[2]
