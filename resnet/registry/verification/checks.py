"""What the checks of claims share: values compared, files put in place, differences in words."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from resnet.errors import PipelineError

LISTED = 3  # of a longer list


def same(what: str, found: str, recorded: str) -> None:
    if found != recorded:
        raise PipelineError(f"{what} is {short(found)}, {short(recorded)} recorded")


def put(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, to)


def short(digest: str) -> str:
    return f"{digest[:12]}…"


def here(differences: Sequence[str]) -> str:
    """The differences of this machine from the one that made the version."""
    return f"here: {some(differences)}"


def some(texts: Sequence[str]) -> str:
    """The first few of a list, and how many more there are."""
    more = f" and {len(texts) - LISTED} more" if len(texts) > LISTED else ""
    return "; ".join(texts[:LISTED]) + more
