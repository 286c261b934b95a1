"""Read dvc.yaml: the stages in their order, and the code that each depends on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from resnet.errors import PipelineError
from resnet.system import files

CODE = "resnet/"  # begins the path of a dependency that is code; data are given as ${paths.…}


def stages(root: Path) -> tuple[str, ...]:
    """The names of the stages, in the order in which they run."""
    return tuple(_read(root))


def code(stage: str, root: Path) -> list[str]:
    """The files and folders of code that a stage depends on, as paths in a checkout.

    No other code can change the stage's result; a test compares the list with what the stage
    imports.
    """
    dependencies = [str(path) for path in _read(root)[stage].get("deps", ())]
    return [path for path in dependencies if path.startswith(CODE)]


def _read(root: Path) -> Mapping[str, Any]:
    path = root / "dvc.yaml"
    try:
        return dict(files.read_yaml(path)["stages"])
    except (OSError, yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError, ValueError) as error:
        raise PipelineError(
            f"{path} does not list the stages ({error!r}): restore it with git"
        ) from None
