"""The targets of the Makefile, as far as they run in seconds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from resnet.checkout import worktree
from tests.support import REPOSITORY

# What calls itself Python 3.9, and knows of Python no more than `-c`.
OLD = f"""#!/bin/sh
exec {sys.executable} -c 'import sys; sys.version_info = (3, 9, 2); exec(sys.argv[1])' "$2"
"""


def make(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`make WORDS` in `root`, whatever make has started the tests."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MF"))}
    return subprocess.run(
        ["make", *words], cwd=root, env=env, capture_output=True, text=True, check=False
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout with a commit, in which `make` has installed this Python's packages."""
    root = tmp_path / "clone"
    for folder in ("resnet", "flows", ".dvc"):
        ignored = shutil.ignore_patterns("tmp", "cache", "config.local")
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=ignored)
    for name in ("Makefile", "pyproject.toml", "requirements.lock", ".gitignore", "params.yaml"):
        shutil.copy(REPOSITORY / name, root)
    (root / "tests").mkdir()
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (["init", "--quiet"], ["add", "."], [*identity, "commit", "-qm", "First"]):
        subprocess.run(["git", *words], cwd=root, check=True)
    python = root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (root / ".venv" / "installed").write_text(f"{root}\n")
    return root


def test_help_lists_the_targets() -> None:
    listed = [line.split()[0] for line in make(REPOSITORY, "help").stdout.splitlines()]
    assert {"run", "test", "check", "ui", "worker", "deploy", "bench", "clean"} < set(listed)
    assert make(REPOSITORY).stdout == make(REPOSITORY, "help").stdout


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("run", "resnet run --or-synthetic"),
        ("test", "pytest --numprocesses 2"),
        ("check", "lint-imports"),
        ("ui", "resnet ui"),
        ("deploy", "resnet deploy"),
        ("worker", "resnet worker"),
        ("bench", "python -m benchmarks.run"),
    ],
)
def test_a_target_runs_its_command_and_installs_nothing_again(
    clone: Path, target: str, command: str
) -> None:
    planned = make(clone, "--dry-run", target).stdout
    assert f".venv/bin/{command}" in planned
    assert "requirements.lock" not in planned


def test_packages_are_installed_again_if_the_lock_changed_or_the_checkout_was_moved(
    clone: Path,
) -> None:
    assert make(clone, "--question", ".venv/installed").returncode == 0
    installed = (clone / ".venv" / "installed").stat().st_mtime
    os.utime(clone / "requirements.lock", (installed + 1, installed + 1))
    assert make(clone, "--question", ".venv/installed").returncode == 1
    os.utime(clone / "requirements.lock", (installed - 1, installed - 1))
    assert make(clone, "--question", ".venv/installed").returncode == 0
    moved = clone.rename(clone.with_name("moved"))
    assert make(moved, "--question", ".venv/installed").returncode == 1


RECORD = """#!/bin/sh
echo "$0 $* PIP_USER=$PIP_USER UV_DEFAULT_INDEX=$UV_DEFAULT_INDEX" >> made
case "$*" in *uv_as_pip*) exec {python} "$@";; esac
"""


def test_the_installation_asks_pips_index_and_is_not_a_users_own(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("python", "uv"):
        (clone / ".venv" / "bin" / name).write_text(RECORD.format(python=sys.executable))
        (clone / ".venv" / "bin" / name).chmod(0o755)
    os.utime(clone / ".venv" / "installed", (0, 0))
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://all.example/simple\n")
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    done = make(clone, ".venv/installed")
    assert done.returncode == 0, done.stderr
    made = (clone / "made").read_text().splitlines()
    assert all("PIP_USER=0 " in line for line in made)
    locked, editable = [line for line in made if line.startswith(".venv/bin/uv ")]
    assert "pip install" in locked
    assert "--require-hashes" in locked
    assert "--editable" in editable
    assert locked.endswith("UV_DEFAULT_INDEX=https://all.example/simple")


def test_another_python_is_refused_before_anything_is_made(clone: Path) -> None:
    shutil.rmtree(clone / ".venv")
    old = clone / "python3.9"
    old.write_text(OLD)
    old.chmod(0o755)
    done = make(clone, "run", f"PYTHON={old}")
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"{old} is Python 3.9: want 3.11, 3.12 or 3.13; name one, such as: "
        "make run PYTHON=python3.12\n"
    )
    assert not (clone / ".venv").exists()


def test_clean_removes_left_over_trees_and_spares_what_was_made(clone: Path) -> None:
    spared = [
        clone / name
        for name in (
            ".state/mlflow/mlflow.db",
            ".state/dvc-remote/files/md5/00/1",
            ".state/prefect/prefect.db",
            ".dvc/cache/files/md5/00/1",
            ".venv/installed",
            "data/raw/batch",
            "models/model.keras",
        )
    ]
    for path in (*spared, clone / "tests" / "__pycache__" / "x.pyc", clone / ".mypy_cache" / "x"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with pytest.raises(RuntimeError), worktree.worktree(clone, "a", {}):
        raise RuntimeError
    done = make(clone, "clean")
    assert done.returncode == 0, done.stderr
    assert worktree.left_over(clone) == []
    assert not (clone / "tests" / "__pycache__").exists()
    assert not (clone / ".mypy_cache").exists()
    assert all(path.exists() for path in spared)
