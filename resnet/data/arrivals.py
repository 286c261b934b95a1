"""New data: put it under DVC, bring what is tracked but not here, and say what is new about it.

paths.extra → what DVC tracks; a profile (see `resnet.data.ingest`), the checkout → `DataVersion`.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from resnet import params
from resnet.checkout import dvc, dvc_cache
from resnet.data import added_samples, additions, datasets
from resnet.errors import PipelineError
from resnet.system.processes import Say


@dataclass(frozen=True)
class DataVersion:
    """What the training images are made from."""

    source: str | None  # `Dataset.digest`; None if an old profile does not record it
    extra: Mapping[str, str]  # the md5 of each added batch, by its name

    @classmethod
    def current(cls, root: Path, parameters: params.Params) -> Self:
        """What the stages would read now: what DVC tracks, whether it is here or not."""
        tracked = {
            batch.name: batch.md5
            for batch in additions.batches(root / parameters.paths.extra)
            if batch.md5 is not None
        }
        return cls(datasets.load(parameters.data.dataset).digest, tracked)

    @classmethod
    def of(cls, profile: Mapping[str, Any]) -> Self:
        """What the arrays were made from, as their profile records it."""
        batches = profile.get("extra", {})
        return cls(profile.get("source"), {name: batch["md5"] for name, batch in batches.items()})

    def as_dict(self) -> dict[str, Any]:
        """All of it, in JSON's types."""
        return asdict(self)

    @property
    def hash(self) -> str:
        """SHA-256, hex, of all of it."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()

    def change_since(self, before: "DataVersion") -> str | None:
        """What is new, in words; None if nothing is."""
        old, new = before.extra, self.extra
        changes = [f"{name} was added" for name in new if name not in old]
        changes += [f"{name} was changed" for name in new if old.get(name, new[name]) != new[name]]
        changes += [f"{name} was removed" for name in old if name not in new]
        if None not in (before.source, self.source) and before.source != self.source:
            changes.append("the data set is published with other files")
        return ", ".join(changes) or None


@dataclass(frozen=True)
class NewBatches:
    """What became of the batches that were new or edited."""

    tracked: list[str]  # their names: now under DVC
    incomplete: list[str]  # their names: something in them changed a moment ago
    unwanted: list[
        str
    ]  # in words: the newest version was trained on them, DVC no longer tracks them
    refused: list[str]  # in words: no training could read them, or DVC refused them


def track(root: Path, parameters: params.Params, trained: DataVersion, say: Say) -> NewBatches:
    """Put batches that are new or edited under DVC, and say which are not.

    A batch is left alone until nothing in it has changed for `runtime.settle_seconds`. So is one on
    which the newest version was `trained` and whose .dvc file was removed since, say by a `git
    pull`: it is no longer wanted. A problem with one batch does not hold up the others.
    """
    new, dataset = NewBatches([], [], [], []), datasets.load(parameters.data.dataset)
    for batch in additions.batches(root / parameters.paths.extra):
        state = batch.state()
        if state not in ("new", "edited"):
            continue
        quiet_seconds = time.time() - batch.changed()
        if quiet_seconds < parameters.runtime.settle_seconds:
            say(f"{batch.path} changed {quiet_seconds:.0f} s ago: still being written, waiting")
            new.incomplete.append(batch.name)
            continue
        md5 = trained.extra.get(batch.name)
        if state == "new" and md5 is not None and md5 == dvc_cache.digest(batch.path):
            new.unwanted.append(f"{batch.problem()}; its .dvc file was removed")
            say(new.unwanted[-1])
            continue
        words, lock_seconds = ["add", str(batch.path)], parameters.runtime.lock_seconds
        try:
            added_samples.check(batch.path, dataset)
            dvc.run(f"add {batch.name}", words, root, lock_seconds, say)
        except PipelineError as error:
            say(str(error))
            new.refused.append(str(error))
            continue
        new.tracked.append(batch.name)
    return new


def absent(root: Path, parameters: params.Params) -> list[Path]:
    """The .dvc files whose batches are not here, or here in an older version."""
    batches = additions.batches(root / parameters.paths.extra)
    return [batch.dvc_file for batch in batches if batch.state() in ("missing", "stale")]


def pull(root: Path, parameters: params.Params, dvc_files: Sequence[Path], say: Say) -> None:
    """Bring their batches. Raises DvcError if neither DVC's cache nor its remote has one."""
    words = ["pull", *map(str, dvc_files)]
    dvc.run("pull", words, root, parameters.runtime.lock_seconds, say)
