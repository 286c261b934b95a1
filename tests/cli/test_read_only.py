"""In a checkout that cannot be written, what only reads works, and all else says so in one line."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from resnet.registry import store, versions
from tests.support import REPOSITORY, unknown_account
from tests.support.registry import empty_store, made_store, register  # noqa: F401

NAME = "cifar10-resnet"
READS = {"history": "no promotions yet", "versions": "production"}
WRITES = ("rollback --reason x", "promote 1 --reason x", "card 1", "ui", "run")
COMMANDS = """
import contextlib, io, json, os, sys
from resnet import cli
here, before, outcomes = os.getcwd(), dict(os.environ), {}
for words in sys.argv[1:]:
    os.environ.clear()
    os.environ.update(before)
    os.chdir(here)
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        code = cli.main(words.split())
    outcomes[words] = code, out.getvalue(), error.getvalue()
print(json.dumps(outcomes))
"""


def protect(root: Path, mode: str) -> None:
    subprocess.run(["chmod", "-R", mode, str(root)], check=True)


def run(root: Path, *commands: str, **variables: str) -> dict[str, Any]:
    """Exit code, stdout and stderr of each command, given by an account without root's rights."""
    done = subprocess.run(
        [*unknown_account(), sys.executable, "-c", COMMANDS, *commands],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture
def checkout(made_store: Path, register: Callable[..., int]) -> Iterator[Path]:  # noqa: F811
    """A checkout whose store has a version in production, and in which nothing can be written."""
    for name in ("params.yaml", "dvc.yaml", "prefect.yaml"):
        shutil.copy(REPOSITORY / name, made_store)
    client = store.client(made_store)
    client.set_registered_model_alias(NAME, versions.PRODUCTION, str(register(NAME)))
    protect(made_store, "a-w")
    yield made_store
    protect(made_store, "u+w")


def test_what_reads_works_where_nothing_can_be_written_and_all_else_says_so_in_one_line(
    checkout: Path, tmp_path: Path
) -> None:
    outcomes = run(checkout, *READS, *WRITES)
    for words, shown in READS.items():
        code, out, error = outcomes[words]
        assert code == 0, error
        assert shown in out
    for words in WRITES:
        code, _, error = outcomes[words]
        assert code == 1, (words, error)
        assert error.startswith("error: "), (words, error)
        assert error.count("\n") == 1, (words, error)
        assert "write nothing into the checkout" in error, (words, error)

    other = tmp_path / "without-state"
    other.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, other)
    protect(other, "a-w")
    address = f"sqlite:///{checkout / '.state' / 'mlflow' / 'mlflow.db'}"
    outcomes = run(other, *READS, "run", MLFLOW_TRACKING_URI=address)
    protect(other, "u+w")
    assert [outcomes[words][0] for words in READS] == [0, 0]
    code, _, error = outcomes["run"]
    assert (code, error.count("\n")) == (1, 1), error
    assert f"{other / '.state'} is not open to account" in error
