"""What tests of several rooms share: where the repository is, and fixtures to import by name."""

import functools
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
IDENTITY = ("-c", "user.name=A Tester", "-c", "user.email=tester@example.org")


def git(root: Path, *words: str) -> str:
    """What git says in the folder `root`."""
    return subprocess.run(
        ["git", *IDENTITY, *words], cwd=root, check=True, capture_output=True, text=True
    ).stdout


def loaded(code: str, *words: str) -> set[str]:
    """The modules that a process with the arguments `words` has loaded when it has run `code`."""
    script = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


@functools.cache
def unknown_account() -> tuple[str, ...]:
    """The words before a command by which it runs as an account that the system does not know.

    It may write what the tests' own account owns, and no more than that: root's rights are gone.
    Skips the test where the system does not let it.
    """
    words = ("unshare", "--user", "--map-user=54321", "--map-group=54321")
    try:
        subprocess.run([*words, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no process can run as another account here: {error}")
    return words
