"""What distinguishes this checkout from others that use the same Prefect server."""

import secrets
from pathlib import Path

from filelock import FileLock

from resnet.checkout import project
from resnet.errors import PipelineError
from resnet.system import files


def identity(root: Path) -> str:
    """The checkout's name, FOLDER-NUMBER: chosen once, kept when it is moved, new in a copy.

    Raises PipelineError if the file that holds it is damaged.
    """
    path = _file(root)
    path.parent.mkdir(exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        name = known(root) or f"{root.name}-{secrets.token_hex(4)}"
        if _read(path) != (name, str(root)):
            files.write_json(path, {"name": name, "path": str(root)})
        return name


def known(root: Path) -> str:
    """The name as `identity` has chosen it; empty before, as in a copy. Writes nothing.

    Raises PipelineError as `identity` does.
    """
    name, place = _read(_file(root))
    is_copy = bool(place) and place != str(root) and _read(_file(Path(place)))[0] == name
    return "" if is_copy else name


def _file(root: Path) -> Path:
    """Not in RESNET_STATE, which several checkouts may share."""
    return root / project.STATE / "checkout.json"


def _read(path: Path) -> tuple[str, str]:
    """The checkout's name and where it was; both empty if the file is not there."""
    try:
        known = files.read_json(path)
        return str(known["name"]), str(known["path"])
    except (FileNotFoundError, PermissionError):
        return "", ""
    except (ValueError, KeyError, TypeError):
        raise PipelineError(
            f"{path} does not say which checkout this is: remove it, and run 'resnet deploy "
            "--take-over' if this checkout had put deployments on a server"
        ) from None
