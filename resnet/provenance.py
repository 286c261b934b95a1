"""What a model was made from: the git commit, the changes on top of it, the data, the parameters.

Reads git and dvc.lock; asks no server.
"""

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ValidationError

from resnet import files, params
from resnet.errors import PipelineError

# One form of patch, whatever the user's own settings of git are.
DIFF = (
    *("diff", "--binary", "--no-ext-diff", "--no-textconv", "--no-color"),
    *("--src-prefix=a/", "--dst-prefix=b/"),
)
MODEL_SECTIONS = {"data", "net", "train"}


@dataclass(frozen=True)
class Code:
    """The state of the checkout. Without git there is no commit, and `dirty` is true."""

    commit: str | None
    dirty: bool
    patch: str  # as `git apply` takes it; files that git does not know yet are in it

    def __str__(self) -> str:
        if self.commit is None:
            return "no git commit: this folder is not a git checkout"
        return f"git commit {self.commit[:12]}{' with local changes' if self.dirty else ''}"


class _File(BaseModel):
    """A dependency or an output in dvc.lock, as far as it is read here; so with the next two."""

    path: str
    md5: str = ""


class _Stage(BaseModel):
    deps: list[_File] = []
    outs: list[_File] = []
    params: dict[str, dict[str, Any]] = {}


class _Form(BaseModel):
    stages: dict[str, _Stage] = {}


@dataclass(frozen=True)
class Lock:
    """dvc.lock: what each stage was given and what it made."""

    stages: Mapping[str, Any]

    @classmethod
    def read(cls, root: Path) -> Self:
        """Raises PipelineError where there is none, or it is not of DVC's form."""
        path = root / "dvc.lock"
        mend = "restore it with git, or remove it and run 'dvc repro'"
        try:
            values = files.read_yaml(path) or {}
            _Form.model_validate(values)
        except FileNotFoundError:
            raise PipelineError(f"{path} is not there: run 'dvc repro' first") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise PipelineError(f"{path} is not YAML ({error}): {mend}") from None
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "all of it"
            raise PipelineError(
                f"{path} is not as DVC writes it ({place}: {first['msg']}): {mend}"
            ) from None
        return cls(values.get("stages", {}))

    @property
    def outputs(self) -> dict[str, str]:
        """The md5 of each output, by its path; a folder's ends in `.dir`."""
        return {
            out["path"]: out["md5"]
            for stage in self.stages.values()
            for out in stage.get("outs", ())
            if "md5" in out
        }

    def md5(self, path: Path) -> str:
        """Of an output. Raises PipelineError where no stage has made it."""
        try:
            return self.outputs[path.as_posix()]
        except KeyError:
            raise PipelineError(f"dvc.lock knows no output {path}: run 'dvc repro' first") from None

    def check(self, root: Path, chosen: params.Params) -> None:
        """Raise PipelineError unless the model, its evaluation and the parameters are the lock's.

        A model trained by hand, or parameters that were edited since, would be recorded with
        an origin that is not theirs.
        """
        for path in (chosen.paths.model, chosen.paths.metrics):
            if not (root / path).exists():
                raise PipelineError(f"{path} is not there: run 'dvc repro' first")
            if files.digest(root / path, "md5") != self.md5(path):
                raise PipelineError(
                    f"{path} is not the one that dvc.lock records: run 'dvc repro' first"
                )
        for edited in self.edited(chosen.model_dump(mode="json")):
            raise PipelineError(f"{edited}: run 'dvc repro' first")

    def edited(self, values: Mapping[str, Any]) -> list[str]:
        """Where `values`, those of a params.yaml, are not what a stage ran with, in words."""
        return [
            f"{key} in params.yaml is not what stage {name} ran with"
            for name, stage in self.stages.items()
            for key, value in stage.get("params", {}).get("params.yaml", {}).items()
            if _at(values, key) != value
        ]


def code(root: Path) -> Code:
    """The commit of the checkout at `root` and what differs from it.

    params.yaml, dvc.lock and DVC's outputs do not count: they are recorded whole, elsewhere. Nor do
    .dvc files: which added images entered is in the profile, and the arrays have a hash.
    """
    head = commit(root)
    if head is None:
        return Code(None, True, "")
    recorded = ["params.yaml", "dvc.lock", "*.dvc"]
    if (root / "dvc.lock").exists():
        recorded += Lock.read(root).outputs
    changes = patch(root, exclude=recorded)
    return Code(head, bool(changes), changes)


def commit(root: Path) -> str | None:
    """What HEAD names; nothing where `root` is not the top of a git checkout, or has no commit."""
    words = ("rev-parse", "--show-toplevel", "--verify", "--quiet", "HEAD")
    top, _, head = git(root, *words, must=False).strip().partition("\n")
    return head if top == str(root.resolve()) and head else None


def patch(root: Path, exclude: Iterable[str] = ()) -> str:
    """What differs from HEAD, as `git apply` takes it; new files that git does not ignore as well.

    Works on a copy of the index, and adds no object to the repository. Raises PipelineError where
    git cannot add a new file.
    """
    scope = ["--", ".", *(f":(exclude){path}" for path in exclude)]
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        shutil.copyfile(root / git(root, "rev-parse", "--git-path", "index").strip(), index)
        env = {**os.environ, "GIT_INDEX_FILE": str(index)}
        try:
            git(root, "add", "--intent-to-add", "--", ".", env=env)
        except PipelineError as error:
            if not (unborn := _unborn(root)):
                raise
            raise PipelineError(
                f"{', '.join(unborn)} in {root}: a git repository of its own without a commit, "
                "which no patch can hold: commit there, move it out of the checkout, or name it in "
                ".gitignore"
            ) from error
        return git(root, *DIFF, "HEAD", *scope, env=env)


def _unborn(root: Path) -> list[str]:
    """Folders of the checkout that are git repositories of their own, and have no commit."""
    new = git(root, "ls-files", "--others", "--exclude-standard", "-z").split("\0")
    head = ("rev-parse", "--verify", "--quiet", "HEAD")
    return [one for one in new if one.endswith("/") and not git(root / one, *head, must=False)]


def git(
    root: Path,
    *words: str,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    must: bool = True,
) -> str:
    """What git says, given `stdin`; bytes that are no UTF-8 go through both as surrogates.

    Raises PipelineError where there is no git or it refuses; without `must` it then says nothing.
    """
    given = stdin.encode(errors="surrogateescape")
    try:
        done = subprocess.run(
            ["git", *words], cwd=root, env=env, input=given, capture_output=True, check=must
        )
    except (OSError, subprocess.CalledProcessError) as error:
        if not must:
            return ""
        said = getattr(error, "stderr", b"").decode(errors="replace").strip()
        raise PipelineError(f"git {words[0]} in {root} failed: {said or error}") from None
    return done.stdout.decode(errors="surrogateescape") if done.returncode == 0 else ""


def data_hash(root: Path, paths: params.Paths) -> str:
    """DVC's md5 of the arrays: 32 hex digits and `.dir`. Raises PipelineError without one."""
    return Lock.read(root).md5(paths.arrays)


def params_hash(chosen: params.Params) -> str:
    """SHA-256, hex, of the parameters that decide which model comes out."""
    return _hash(chosen.model_dump(mode="json", include=MODEL_SECTIONS))


def training_key(chosen: params.Params, root: Path) -> str:
    """SHA-256, hex, of what training depends on: parameters, data, its code and its libraries."""
    package = Path(__file__).parent
    sources = [package / "backend.py", package / "model_file.py"]
    for folder in ("data", "nets", "training"):
        sources += sorted((package / folder).glob("*.py"))
    try:
        data = data_hash(root, chosen.paths)
    except PipelineError:  # a stage that runs without DVC
        data = "unknown"
    libraries = {name: _version(name) for name in ("keras", "numpy", chosen.train.backend)}
    code = [files.digest(path) for path in sources]
    return _hash([params_hash(chosen), data, code, libraries])


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _at(values: Mapping[str, Any], key: str) -> Any:
    """{"data": {"seed": 0}}, "data.seed" → 0; None where there is nothing."""
    value: Any = values
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
