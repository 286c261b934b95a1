"""An account without a name or a home, as in a container, works as any other."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from resnet.system import account
from tests.support import REPOSITORY, git, unknown_account

WORK = """
import os
from pathlib import Path
from resnet.checkout import project, stages
from resnet.operations.doctor import report
root = Path.cwd()
project.enter(root)
print(stages.run("annotate", root, 60, print))
others = ("tools", "device", "data")  # they ask nothing about the account
report.CHECKS = [check for check in report.CHECKS if check.__name__ not in others]
report.report(root, debug=True)
import prefect.settings
print(os.getuid(), os.environ["USER"], Path.home())
"""


def test_an_account_without_a_name_is_identified_by_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2_000_000_001)  # as in a container
    assert account.user() == "2000000001"
    monkeypatch.setenv("USER", "ann")
    assert account.user() == "ann"


def test_a_known_account_keeps_its_name_and_its_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 0)
    assert account.environment(Path("/nowhere")) == {"HOME": pwd.getpwuid(0).pw_dir}


def test_a_stage_and_doctor_run_under_an_unknown_account_without_a_home(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "resnet", tmp_path / "resnet", ignore=ignored)
    for name in ("dvc.yaml", "params.yaml", "data/extra/.gitkeep", ".gitignore", ".dvc/config"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "First")
    done = subprocess.run(
        [*unknown_account(), sys.executable, "-c", WORK],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "annotate: ran in" in done.stdout
    assert "FAIL" not in done.stdout
    assert done.stdout.splitlines()[-1] == f"54321 54321 {tmp_path / '.state' / 'home'}"
