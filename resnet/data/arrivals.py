"""New data: put it under DVC, bring what is named and not here, and say what is new about it.

paths.extra → what DVC tracks; a profile (see `resnet.data.ingest`) and the checkout → `Sources`.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from resnet import params
from resnet.checkout import dvc, dvc_cache
from resnet.data import additions, datasets

Say = Callable[[str], None]


@dataclass(frozen=True)
class Sources:
    """What the training images are made from: a version of the data."""

    source: str | None  # `Dataset.digest`; None where a profile of before does not tell
    extra: Mapping[str, str]  # the md5 of each added batch, by its name

    @classmethod
    def here(cls, root: Path, chosen: params.Params) -> Self:
        """What the stages would read now: what DVC tracks, whether it has been brought or not."""
        tracked = {
            batch.name: batch.md5
            for batch in additions.batches(root / chosen.paths.extra)
            if batch.md5 is not None
        }
        return cls(datasets.load(chosen.data.dataset).digest, tracked)

    @classmethod
    def of(cls, profile: Mapping[str, Any]) -> Self:
        """What a profile says that the arrays were made from."""
        added = {name: one["md5"] for name, one in profile.get("extra", {}).items()}
        return cls(profile.get("source"), added)

    def as_dict(self) -> dict[str, Any]:
        """All of it, of JSON's types alone."""
        return asdict(self)

    @property
    def hash(self) -> str:
        """SHA-256 of all of it."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()

    def since(self, before: "Sources") -> str | None:
        """What is new, in words; None where nothing is."""
        old, new = before.extra, self.extra
        said = [f"{name} was added" for name in new if name not in old]
        said += [f"{name} was changed" for name in new if old.get(name, new[name]) != new[name]]
        said += [f"{name} was taken away" for name in old if name not in new]
        if None not in (before.source, self.source) and before.source != self.source:
            said.append("the data set is published with other files")
        return ", ".join(said) or None


@dataclass(frozen=True)
class Tracked:
    """What became of the batches that were new or edited."""

    tracked: list[str]  # by their names: put under DVC
    growing: list[str]  # something in them changed a moment ago
    left_out: list[str]  # in words: trained on before, and not wanted any more
    refused: list[str]  # in words: DVC did not take them


def track(root: Path, chosen: params.Params, trained: Sources, say: Say) -> Tracked:
    """Put batches that are new or edited under DVC, and say which are not.

    A batch is left alone until nothing in it has changed for `runtime.settle_seconds`; so is one
    that is as the newest version was `trained` on it and whose .dvc file was taken away since, say
    by a `git pull`: it is not wanted any more. What is wrong with one does not keep the others.
    """
    found = Tracked([], [], [], [])
    for batch in additions.batches(root / chosen.paths.extra):
        state = batch.state()
        if state not in ("new", "edited"):
            continue
        still = time.time() - batch.changed()
        if still < chosen.runtime.settle_seconds:
            say(f"{batch.path} changed {still:.0f} s ago: waiting until it is whole")
            found.growing.append(batch.name)
            continue
        known = trained.extra.get(batch.name)
        if state == "new" and known is not None and known == dvc_cache.digest(batch.path):
            found.left_out.append(f"{batch.problem()}; its .dvc file was taken away")
            say(found.left_out[-1])
            continue
        words = ["add", str(batch.path)]
        try:
            dvc.run(f"add {batch.name}", words, root, chosen.runtime.lock_seconds, say)
        except dvc.DvcError as error:
            say(str(error))
            found.refused.append(str(error))
            continue
        found.tracked.append(batch.name)
    return found


def absent(root: Path, chosen: params.Params) -> list[Path]:
    """The .dvc files whose batches are not here, or here in an older version."""
    found = additions.batches(root / chosen.paths.extra)
    return [batch.track for batch in found if batch.state() in ("missing", "stale")]


def pull(root: Path, chosen: params.Params, absent: Sequence[Path], say: Say) -> None:
    """Bring their batches. Raises DvcError where neither DVC's cache nor its remote has one."""
    words = ["pull", *map(str, absent)]
    dvc.run("pull", words, root, chosen.runtime.lock_seconds, say)
