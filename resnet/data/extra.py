"""Images that were added to the training split: paths.extra → arrays, checked.

Each entry of the folder is a batch, which DVC tracks by the file NAME.dvc beside it:

NAME/CLASS/…    image files, of any size, in folders named by their classes
NAME.npz        images, (N, 32, 32, 3) uint8, and labels, (N,) integers from 0
"""

import time
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from resnet import cache
from resnet.data import arrays, image_files
from resnet.data.arrays import Split
from resnet.errors import PipelineError

TRACK = ".dvc"
ARRAYS = ".npz"
# What numpy raises for a file that is no .npz, or a damaged or encrypted one.
UNREADABLE = (
    *(OSError, ValueError, KeyError, EOFError, TypeError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
State = Literal["tracked", "new", "edited", "missing", "stale"]


@dataclass(frozen=True)
class Batch:
    """One batch: where it is, and what DVC knows of it."""

    path: Path
    md5: str | None  # that its .dvc file names; None where DVC does not track it
    files: int | None = None  # of a folder, as DVC has counted them

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def track(self) -> Path:
        """The file by which DVC tracks it."""
        return self.path.with_name(self.path.name + TRACK)

    def state(self) -> State:
        """How what is there stands to what DVC tracks.

        `edited` was changed after DVC looked at it last; `stale` was not: its .dvc file is from
        elsewhere, say from a `git pull`, and the data are those of before.
        """
        if self.md5 is None:
            return "new"
        if not self.path.exists():
            return "missing"
        if cache.digest(self.path) == self.md5:
            return "tracked"
        return "edited" if self.changed() > self.track.stat().st_mtime else "stale"

    def changed(self) -> float:
        """When anything in it was changed last, in seconds since 1970."""
        try:
            # The inode's own time: a copied file can keep its time of modification.
            return max(path.lstat().st_ctime for path in (self.path, *self.path.rglob("*")))
        except FileNotFoundError:  # a moment ago, as by one who copies under another name first
            return time.time()

    def problem(self) -> str | None:
        """Why training cannot take it, and what to do; None where it is what DVC tracks."""
        remedy = REMEDIES.get(self.state())
        return remedy and f"{self.path} {remedy.format(path=self.path)}"


REMEDIES: Mapping[State, str] = {
    "new": "is not tracked: once it is whole, run 'dvc add {path}', as watch-data does by itself, "
    "or take it away",
    "edited": "is not what its .dvc file names: run 'dvc add {path}' to take it as it is, or "
    "'dvc checkout {path}' to go back",
    "missing": "is not there, and its .dvc file names it: run 'dvc pull {path}', or take that away",
    "stale": "is an older one than its .dvc file names: run 'dvc pull {path}'",
}


def batches(folder: Path) -> list[Batch]:
    """The batches in `folder`, in the order of their names, those without data among them.

    Raises PipelineError where something else is there; what is hidden does not count.
    """
    if not folder.is_dir():
        raise PipelineError(f"{folder} is not there: make it, or restore it with git")
    found = [path for path in folder.iterdir() if path.name[0] != "."]
    for path in found:
        if not path.is_dir() and path.suffix not in (ARRAYS, TRACK):
            raise PipelineError(
                f"{path} is no batch of images: want a folder with a folder a class, or an .npz "
                "file; take it away"
            )
    names = {path.name.removesuffix(TRACK) for path in found}
    return [_batch(folder / name) for name in sorted(names)]


def read(batch: Batch, classes: Sequence[str]) -> Split:
    """The images and labels of a batch. Raises PipelineError where its form is another one."""
    if problem := batch.problem():
        raise PipelineError(problem)
    split = (
        _from_arrays(batch.path, len(classes))
        if batch.path.suffix == ARRAYS
        else _from_folders(batch.path, classes)
    )
    if not len(split.labels_n):
        raise PipelineError(f"{batch.path} holds no images: add some, or take it away")
    return split


def must_be_apart(batch: Batch, split: Split, held_out: Mapping[str, Collection[bytes]]) -> None:
    """Raise PipelineError where the batch holds an image that training must not see.

    `held_out` are fingerprints of images by the name of their split.
    """
    for name, known in held_out.items():
        copies = [n for n, one in enumerate(arrays.fingerprints(split.images_nhwc)) if one in known]
        if copies:
            raise PipelineError(
                f"{batch.path}: {len(copies)} of its images are images of the {name} split, the "
                f"first is {_named(batch.path, copies[0])}: take them out, or the accuracy would "
                "be that of images learned by heart"
            )


def _batch(path: Path) -> Batch:
    track = path.with_name(path.name + TRACK)
    try:
        (out,) = yaml.safe_load(track.read_text())["outs"]
        return Batch(path, str(out["md5"]), out.get("nfiles"))
    except FileNotFoundError:
        return Batch(path, None)
    except (yaml.YAMLError, OSError, ValueError, LookupError, TypeError) as error:
        raise PipelineError(
            f"{track} is no file of DVC's ({error!r}): restore it with git, or remove it and run "
            f"'dvc add {path}'"
        ) from None


def _from_folders(path: Path, classes: Sequence[str]) -> Split:
    """Images in folders named by their classes; every file is one, but for hidden ones."""
    found = image_files.visible(path)
    if others := [name for name, file in found.items() if not image_files.is_image(file)]:
        raise PipelineError(
            f"{path}: {len(others)} of its {len(found)} files are of a kind that is not read, the "
            f"first is {others[0]}: want names that end in "
            f"{', '.join(sorted(image_files.SUFFIXES))}; convert them, or take them away"
        )
    of = [name.partition("/")[0] for name in found]
    for name, label in zip(found, of, strict=True):
        if label not in classes:
            raise PipelineError(
                f"{path / name} is in no folder of a class: want {path}/CLASS/…, the classes are "
                f"{', '.join(classes)}"
            )
    entries = ((file, file, image_files.decode) for file in found.values())
    labels = [classes.index(label) for label in of]
    return Split(image_files.read(entries), np.array(labels, np.uint8))


def _from_arrays(path: Path, classes: int) -> Split:
    """An .npz file. Its arrays may not name code."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            # A member of the zip file that is no array comes as its bytes.
            images_nhwc, labels_n = np.asarray(stored["images"]), np.asarray(stored["labels"])
    except UNREADABLE as error:
        raise PipelineError(
            f"{path} is not an .npz file with the arrays images and labels ({error})"
        ) from None
    images: Any = images_nhwc
    if images.dtype != np.uint8 or images.shape[1:] != arrays.IMAGE:
        raise PipelineError(
            f"{path}: images are {images.dtype} of shape {images.shape}, want uint8 (N, 32, 32, 3)"
        )
    if labels_n.dtype.kind not in "iu" or labels_n.shape != images.shape[:1]:
        raise PipelineError(
            f"{path}: labels are {labels_n.dtype} of shape {labels_n.shape}, want integers "
            f"({len(images)},)"
        )
    wrong = labels_n[(labels_n < 0) | (labels_n >= classes)]
    if len(wrong):
        raise PipelineError(f"{path}: label {wrong[0]}, want 0 to {classes - 1}")
    # In C's order: a fingerprint is that of an image's bytes, one after the other.
    return Split(np.ascontiguousarray(images), labels_n.astype(np.uint8))


def _named(path: Path, index: int) -> str:
    return f"number {index}" if path.suffix == ARRAYS else list(image_files.listed(path))[index]
