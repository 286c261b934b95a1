"""Read dvc.yaml: the stages in their order, and the code that each depends on."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from resnet.errors import PipelineError
from resnet.system import files, mappings

VALUE = re.compile(r"\$\{(?P<key>[^}]+)\}")  # stands in a path for a value of params.yaml
CODE = "resnet/"  # begins the path of a dependency that is code; data are given as ${paths.…}


def stages(root: Path) -> tuple[str, ...]:
    """The names of the stages, in the order in which they run."""
    return tuple(_read(root))


def command(stage: str, root: Path) -> str | None:
    """The command of a stage; None if dvc.yaml has none."""
    entry = _read(root).get(stage)
    text = entry.get("cmd") if isinstance(entry, Mapping) else None
    return text if isinstance(text, str) else None


def code(stage: str, root: Path) -> list[str]:
    """The files and folders of code that a stage depends on, as paths in a checkout.

    No other code can change the stage's result; a test compares the list with what the stage
    imports.
    """
    return [path for path in _listed("deps", stage, root) if path.startswith(CODE)]


def dependencies(stage: str, root: Path, values: Mapping[str, Any]) -> list[str]:
    """The paths of all that a stage depends on; `values` are those of params.yaml."""
    return [
        VALUE.sub(lambda match: str(mappings.at(values, match["key"])), path)
        for path in _listed("deps", stage, root)
    ]


def parameters(stage: str, root: Path) -> list[str]:
    """The keys of params.yaml, sections among them, that a stage depends on."""
    return _listed("params", stage, root)


def _listed(what: str, stage: str, root: Path) -> list[str]:
    try:
        return [str(entry) for entry in _read(root)[stage].get(what) or ()]
    except (KeyError, AttributeError, TypeError) as error:
        raise _unreadable(root, error) from None


def _read(root: Path) -> Mapping[str, Any]:
    try:
        return dict(files.read_yaml(root / "dvc.yaml")["stages"])
    except (OSError, yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError, ValueError) as error:
        raise _unreadable(root, error) from None


def _unreadable(root: Path, error: Exception) -> PipelineError:
    return PipelineError(
        f"{root / 'dvc.yaml'} does not list the stages and what they depend on ({error!r}): "
        "restore it with git"
    )
