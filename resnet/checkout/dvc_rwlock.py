"""DVC's file of locks on paths, read: which processes hold one."""

import itertools
import json
from pathlib import Path

from resnet.errors import PipelineError


def path(root: Path) -> Path:
    """Where DVC keeps it in the checkout at `root`; without a lock it need not be there."""
    return root / ".dvc" / "tmp" / "rwlock"


def holders(root: Path) -> set[int]:
    """The ids of the processes that it names. Raises PipelineError where it is damaged."""
    try:
        locks = json.loads(path(root).read_text()) if path(root).exists() else {}
        readers = itertools.chain.from_iterable(locks.get("read", {}).values())
        return {int(lock["pid"]) for lock in (*locks.get("write", {}).values(), *readers)}
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise PipelineError(
            f"{path(root)} is not a list of locks ({error}), and DVC runs no stage beside it: make "
            "sure that no dvc is running, and remove it"
        ) from None
