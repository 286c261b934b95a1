"""What a task of the flows does beside its own work."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prefect.logging import disable_run_logger

from flows.tasks import find_changed
from resnet.registry import store
from tests.support import git


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout of one stage, which has not run."""
    git(tmp_path, "init", "--quiet")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=tmp_path, check=True)
    stages = {"fetch": {"cmd": "true", "outs": ["raw"]}}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    return tmp_path


def test_looking_for_changes_opens_the_store_meanwhile(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.prepare_local(tree)
    opened: list[Path] = []
    monkeypatch.setattr(store, "client", opened.append)
    with disable_run_logger():
        assert find_changed(tree, 30) == {"fetch"}
    assert opened == [tree]


def test_looking_for_changes_makes_no_store_and_leaves_a_damaged_one_to_who_needs_it(
    tree: Path,
) -> None:
    database = tree / ".state" / "mlflow" / "mlflow.db"
    with disable_run_logger():
        assert find_changed(tree, 30) == {"fetch"}
        assert not database.exists()
        database.parent.mkdir(parents=True)
        database.write_text("no database")
        assert find_changed(tree, 30) == {"fetch"}
    assert database.read_text() == "no database"
