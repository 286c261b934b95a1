"""What was added to the training split: paths.extra → batches, checked; a batch → arrays.

Each entry of the folder is a batch, which DVC tracks by the file NAME.dvc beside it:

NAME/CLASS/…    files of samples in folders named by their classes: images of any size
NAME.npz        arrays: samples, uint8, say images, (N, 32, 32, 3), and labels, (N,) integers from 0
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from resnet.checkout import dvc_cache
from resnet.data import added_samples, arrays
from resnet.data.arrays import Split
from resnet.data.datasets import Dataset
from resnet.errors import PipelineError
from resnet.forms.names import NOUNS

DVC_SUFFIX = ".dvc"
BatchState = Literal["tracked", "new", "edited", "missing", "stale"]


@dataclass(frozen=True)
class AddedBatch:
    """One batch: where it is, and what DVC knows of it."""

    path: Path
    md5: str | None  # as its .dvc file records it; None if DVC does not track the batch

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def dvc_file(self) -> Path:
        """The file by which DVC tracks it."""
        return _dvc_file(self.path)

    def state(self) -> BatchState:
        """How the data compare with what DVC tracks.

        `edited` data changed after DVC saw them last. `stale` data did not: their .dvc file came
        from elsewhere, say from a `git pull`, and they are those of before.
        """
        if self.md5 is None:
            return "new"
        if not self.path.exists():
            return "missing"
        if dvc_cache.digest(self.path) == self.md5:
            return "tracked"
        return "edited" if self.changed() > self.dvc_file.stat().st_mtime else "stale"

    def changed(self) -> float:
        """When anything in it changed last, in seconds since 1970."""
        try:
            # The inode's own time: a copied file can keep its time of modification.
            return max(path.lstat().st_ctime for path in (self.path, *self.path.rglob("*")))
        except FileNotFoundError:  # a moment ago, as by a copy that is written under another name
            return time.time()

    def problem(self) -> str | None:
        """Why training cannot use it, and what to do; None if it is what DVC tracks."""
        remedy = REMEDIES.get(self.state())
        return remedy and f"{self.path} {remedy.format(path=self.path)}"


REMEDIES: Mapping[BatchState, str] = {
    "new": "is not tracked by DVC: once it is complete, run 'dvc add {path}' (watch-data does this "
    "automatically), or remove it",
    "edited": "differs from its .dvc file: run 'dvc add {path}' to accept the change, or "
    "'dvc checkout {path}' to undo it",
    "missing": "is missing, but its .dvc file is there: run 'dvc pull {path}', or remove that file",
    "stale": "is older than its .dvc file: run 'dvc pull {path}'",
}


def batches(folder: Path) -> list[AddedBatch]:
    """The batches in `folder` in the order of their names, also those whose data are missing.

    Raises PipelineError if there is something else; hidden files do not count.
    """
    if not folder.is_dir():
        raise PipelineError(f"{folder} is not there: create it, or restore it with git")
    paths = [path for path in folder.iterdir() if path.name[0] != "."]
    for path in paths:
        if not path.is_dir() and path.suffix not in (added_samples.ARRAYS, DVC_SUFFIX):
            raise PipelineError(
                f"{path} is not a batch of samples: want a folder with one folder per class, or an "
                ".npz file; remove it"
            )
    names = {path.name.removesuffix(DVC_SUFFIX) for path in paths}
    return [_batch(folder / name) for name in sorted(names)]


def read(batch: AddedBatch, dataset: Dataset) -> Split:
    """The samples and labels of a batch. Raises PipelineError if they are not as `dataset`'s."""
    if problem := batch.problem():
        raise PipelineError(problem)
    split = Split(*added_samples.read(batch.path, dataset))
    if not len(split.labels_n):
        raise PipelineError(f"{batch.path} holds no {NOUNS[dataset.form]}: add some, or remove it")
    return split


def require_disjoint(
    batch: AddedBatch, split: Split, held_out: Mapping[str, Collection[bytes]], dataset: Dataset
) -> None:
    """Raise PipelineError if the batch holds a sample that training must not see.

    `held_out` are fingerprints of samples by the name of their split.
    """
    fingerprints, noun = arrays.fingerprints(split.images_nhwc), NOUNS[dataset.form]
    for name, known in held_out.items():
        copies = [index for index, sample in enumerate(fingerprints) if sample in known]
        if copies:
            raise PipelineError(
                f"{batch.path}: {len(copies)} of its {noun} are {noun} of the {name} split, the "
                f"first is {added_samples.name(batch.path, copies[0], dataset)}; remove them: the "
                f"{name} accuracy would be inflated by memorised {noun}"
            )


def _batch(path: Path) -> AddedBatch:
    dvc_file = _dvc_file(path)
    try:
        (output,) = yaml.safe_load(dvc_file.read_text())["outs"]
        return AddedBatch(path, str(output["md5"]))
    except FileNotFoundError:
        return AddedBatch(path, None)
    except (yaml.YAMLError, OSError, ValueError, LookupError, TypeError) as error:
        raise PipelineError(
            f"{dvc_file} is not a valid .dvc file ({error!r}): restore it with git, or remove it "
            f"and run 'dvc add {path}'"
        ) from None


def _dvc_file(path: Path) -> Path:
    return path.with_name(path.name + DVC_SUFFIX)
