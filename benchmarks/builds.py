"""The builds that are compared: this checkout, and the commit that the goals call today's build.

The other build runs with this one's packages, in a temporary clone; its code comes first on
PYTHONPATH. That is only fair while both pin the same packages, which is checked.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from benchmarks.rounds import NotMeasuredError
from resnet.checkout import git, project

TODAY = "f50bffb"
LOCK = "requirements.lock"
COMPARED = ("tensorflow", "keras", "jax", "numpy", "dvc", "prefect", "mlflow")
# A clone has its own state, and its runs are not the user's.
ARCHIVE = "CIFAR10_ARCHIVE"  # the user's own archive or folder
NOT_INHERITED = ("RESNET_STATE", "MLFLOW_TRACKING_URI", "PREFECT_API_URL", "PREFECT_HOME")


@contextmanager
def clone(commit: str = "HEAD") -> Iterator[Path]:
    """A temporary clone of this checkout at `commit`.

    Raises NotMeasuredError where the commit is not there, or pins other packages.
    """
    root = project.find_root()
    if not git.run(root, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", check=False):
        raise NotMeasuredError(
            f"this clone does not have commit {commit}: run 'git fetch --unshallow'"
        )
    require_same_packages(git.run(root, "show", f"{commit}:{LOCK}"), commit)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clone"
        source = git.run(root, "rev-parse", "--show-toplevel").strip()
        quietly = ["git", "-c", "advice.detachedHead=false"]
        subprocess.run([*quietly, "clone", "--quiet", "--no-checkout", source, path], check=True)
        full = git.run(root, "rev-parse", commit).strip()
        subprocess.run([*quietly, "checkout", "--quiet", full], cwd=path, check=True)
        yield path / git.prefix(root)


def require_same_packages(lock: str, commit: str) -> None:
    """Raise NotMeasuredError where `lock` pins other versions than those that are installed."""
    pins = set(re.findall(r"^([\w-]+)==([^\s;\\]+)", lock, re.MULTILINE))
    others = [
        f"{name} is {version(name)} here, and {' or '.join(sorted(pinned))} there"
        for name in COMPARED
        # More than one, where it depends on the version of Python.
        if (pinned := {number for other, number in pins if other == name})
        and version(name) not in pinned
    ]
    if others:
        raise NotMeasuredError(f"commit {commit} pins other packages: {'; '.join(others)}")


def environment(root: Path) -> dict[str, str]:
    """The variables of a process that runs the build in `root`."""
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    if archive := inherited.get(ARCHIVE):
        inherited[ARCHIVE] = str(Path(archive).expanduser().absolute())
    return {
        **inherited,
        "PYTHONPATH": str(root),
        "PYTHONUNBUFFERED": "1",
        "MLFLOW_TRACKING_URI": "",
    }


def python(*words: str) -> list[str]:
    """The command that runs this Python with `words`."""
    return [sys.executable, *words]
