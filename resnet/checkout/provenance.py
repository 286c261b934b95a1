"""What a model is made from: the git commit, the changes on top of it, the data, the parameters.

Reads git and dvc.lock; contacts no server.
"""

import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet import params
from resnet.checkout import changes, dvc_cache, dvc_yaml, git
from resnet.checkout.dvc_lock import DvcLock
from resnet.errors import PipelineError

RUNNING_CODE = Path(__file__).parents[2]  # the folder with the running package
MODEL_SECTIONS = {"data", "net", "train"}


@dataclass(frozen=True)
class Code:
    """The state of the checkout. Without git there is no commit, and `dirty` is true."""

    commit: str | None
    dirty: bool
    patch: str  # for `git apply`; new code is in it, and notes above it name what it leaves out

    def __str__(self) -> str:
        if self.commit is None:
            return "no git commit: this folder is not a git checkout"
        return f"git commit {self.commit[:12]}{' with local changes' if self.dirty else ''}"


def code(root: Path) -> Code:
    """The commit of the checkout at `root`, and what differs from it.

    params.yaml, dvc.lock and DVC's outputs do not count: they are recorded in full, elsewhere. Nor
    do .dvc files: the profile lists the added images, and the arrays have a hash.
    """
    head = git.commit(root)
    if head is None:
        return Code(None, True, "")
    recorded = ["params.yaml", "dvc.lock", "*.dvc"]
    if (root / "dvc.lock").exists():
        recorded += DvcLock.read(root).outputs
    differences = changes.for_record(root, recorded)
    return Code(head, bool(differences), differences)


def data_hash(root: Path, paths: params.Paths) -> str:
    """DVC's md5 of the arrays: 32 hex digits and `.dir`. Raises PipelineError if there is none."""
    return DvcLock.read(root).md5(paths.arrays)


def params_hash(parameters: params.Params) -> str:
    """SHA-256, hex, of the parameters that decide which model comes out."""
    return _hash(parameters.model_dump(mode="json", include=MODEL_SECTIONS))


def training_key(parameters: params.Params, root: Path) -> str:
    """SHA-256, hex, of what training depends on: parameters, data, its code and its libraries.

    The code is what dvc.yaml lists for the stage, as it runs here: if DVC trains again, no earlier
    checkpoint is resumed.
    """
    try:
        data = data_hash(root, parameters.paths)
    except PipelineError:  # a stage that runs without DVC
        data = "unknown"
    libraries = {name: _version(name) for name in ("keras", "numpy", parameters.train.backend)}
    return _hash([params_hash(parameters), data, _code("train", root), libraries])


def _code(stage: str, root: Path) -> dict[str, str]:
    """DVC's md5 of each file and folder of code that the stage depends on, by its path."""
    paths = dvc_yaml.code(stage, root)
    if missing := [path for path in paths if not (RUNNING_CODE / path).exists()]:
        raise PipelineError(
            f"{root / 'dvc.yaml'} lists {', '.join(missing)}, which the code at work in "
            f"{RUNNING_CODE} does not have: use the dvc.yaml of its own commit"
        )
    return {path: dvc_cache.digest(RUNNING_CODE / path) for path in paths}


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
