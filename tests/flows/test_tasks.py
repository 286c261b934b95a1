"""What a task of the flows does beside its own work."""

import subprocess
import sys
from pathlib import Path

import yaml
from prefect.logging import disable_run_logger

from flows.tasks import find_changed
from tests.support import git


def test_looking_for_changes_makes_no_store_and_leaves_a_damaged_one_to_who_needs_it(
    tmp_path: Path,
) -> None:
    git(tmp_path, "init", "--quiet")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=tmp_path, check=True)
    stages = {"fetch": {"cmd": "true", "outs": ["raw"]}}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    database = tmp_path / ".state" / "mlflow" / "mlflow.db"
    with disable_run_logger():
        assert find_changed(tmp_path, 30) == {"fetch"}
        assert not database.exists()
        database.parent.mkdir(parents=True)
        database.write_text("no database")
        assert find_changed(tmp_path, 30) == {"fetch"}
    assert database.read_text() == "no database"
