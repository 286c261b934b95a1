"""What was added to the training split: paths.extra → batches, checked; a batch → arrays.

Each entry of the folder is a batch, which DVC tracks by the file NAME.dvc beside it:

NAME/CLASS/…    image files, of any size, in folders named by their classes
NAME.npz        images, (N, 32, 32, 3) uint8, and labels, (N,) integers from 0
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from resnet.checkout import dvc_cache
from resnet.data import arrays
from resnet.data.arrays import Split
from resnet.errors import PipelineError
from resnet.forms.image import added_images

TRACK = ".dvc"
State = Literal["tracked", "new", "edited", "missing", "stale"]


@dataclass(frozen=True)
class AddedBatch:
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
        if dvc_cache.digest(self.path) == self.md5:
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


def batches(folder: Path) -> list[AddedBatch]:
    """The batches in `folder`, in the order of their names, those without data among them.

    Raises PipelineError where something else is there; what is hidden does not count.
    """
    if not folder.is_dir():
        raise PipelineError(f"{folder} is not there: make it, or restore it with git")
    found = [path for path in folder.iterdir() if path.name[0] != "."]
    for path in found:
        if not path.is_dir() and path.suffix not in (added_images.ARRAYS, TRACK):
            raise PipelineError(
                f"{path} is no batch of images: want a folder with a folder a class, or an .npz "
                "file; take it away"
            )
    names = {path.name.removesuffix(TRACK) for path in found}
    return [_batch(folder / name) for name in sorted(names)]


def read(batch: AddedBatch, classes: Sequence[str]) -> Split:
    """The images and labels of a batch. Raises PipelineError where its form is another one."""
    if problem := batch.problem():
        raise PipelineError(problem)
    split = Split(*added_images.read(batch.path, classes))
    if not len(split.labels_n):
        raise PipelineError(f"{batch.path} holds no images: add some, or take it away")
    return split


def require_disjoint(
    batch: AddedBatch, split: Split, held_out: Mapping[str, Collection[bytes]]
) -> None:
    """Raise PipelineError where the batch holds an image that training must not see.

    `held_out` are fingerprints of images by the name of their split.
    """
    for name, known in held_out.items():
        copies = [n for n, one in enumerate(arrays.fingerprints(split.images_nhwc)) if one in known]
        if copies:
            raise PipelineError(
                f"{batch.path}: {len(copies)} of its images are images of the {name} split, the "
                f"first is {added_images.name(batch.path, copies[0])}: take them out, or the "
                "accuracy would be that of images learned by heart"
            )


def _batch(path: Path) -> AddedBatch:
    track = path.with_name(path.name + TRACK)
    try:
        (out,) = yaml.safe_load(track.read_text())["outs"]
        return AddedBatch(path, str(out["md5"]), out.get("nfiles"))
    except FileNotFoundError:
        return AddedBatch(path, None)
    except (yaml.YAMLError, OSError, ValueError, LookupError, TypeError) as error:
        raise PipelineError(
            f"{track} is no file of DVC's ({error!r}): restore it with git, or remove it and run "
            f"'dvc add {path}'"
        ) from None
