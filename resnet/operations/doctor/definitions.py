"""Checks of the files that describe the pipeline and its data: that each can be read."""

import os
from collections.abc import Iterator
from pathlib import Path

import yaml

from resnet import params
from resnet.checkout import dvc_yaml
from resnet.checkout.dvc_lock import DvcLock
from resnet.errors import PipelineError
from resnet.operations.doctor.finding import Finding
from resnet.system import files

CONFLICT = (b"<<<<<<< ", b"||||||| ", b"=======\n", b">>>>>>> ")  # begin the lines of a conflict


def definitions(root: Path) -> list[Finding]:
    """params.yaml, the presets, dvc.yaml, dvc.lock and each .dvc file."""
    paths = [path for path in _paths(root) if path.is_file()]
    problems = [problem for path in paths if (problem := _problem(path, root))]
    return [Finding("fail", "files", problem) for problem in problems] or [
        Finding("ok", "files", f"{len(paths)} files that describe the pipeline can be read")
    ]


def _paths(root: Path) -> Iterator[Path]:
    yield from (root / name for name in ("params.yaml", "dvc.yaml", "dvc.lock"))
    yield from params.presets(root).values()
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder) / name for name in sorted(names) if name.endswith(".dvc"))


def _problem(path: Path, root: Path) -> str | None:
    """Why the file cannot be used, and what to do; None if it can."""
    name = path.relative_to(root)
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if line.startswith(CONFLICT):
            return (
                f"{name} has the mark of a merge conflict in line {number}: resolve it, or take "
                f"the file of the last commit with 'git checkout HEAD -- {name}'"
            )
    try:
        if path.name == "dvc.lock":
            DvcLock.read(root)
        elif path.name == "dvc.yaml":
            dvc_yaml.stages(root)
        elif path.suffix == ".dvc":
            _require_outputs(path)
    except PipelineError as error:
        return " ".join(str(error).split())
    return None


def _require_outputs(path: Path) -> None:
    try:
        for output in files.read_yaml(path)["outs"]:
            _ = output["path"], output["files" if "files" in output else "md5"]
    except (yaml.YAMLError, UnicodeDecodeError, LookupError, TypeError) as error:
        raise PipelineError(
            f"{path} is not a .dvc file ({error!r}): restore it with git, or remove it and run "
            f"'dvc add {path.with_suffix('')}'"
        ) from None
