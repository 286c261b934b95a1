"""What tests of several rooms share: where the repository is, and fixtures to import by name."""

import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
IDENTITY = ("-c", "user.name=A Tester", "-c", "user.email=tester@example.org")


def git(root: Path, *words: str) -> str:
    """What git says in the folder `root`."""
    return subprocess.run(
        ["git", *IDENTITY, *words], cwd=root, check=True, capture_output=True, text=True
    ).stdout
