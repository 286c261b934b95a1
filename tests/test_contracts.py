"""Who may import whom: import-linter reports every import against the contracts."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import REPOSITORY


def linted(root: Path) -> str:
    """The report of import-linter about the packages in `root`."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    env = {"PYTHONPATH": str(root), "LANG": "C.UTF-8", "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=root, env=env, capture_output=True, text=True, check=False
    ).stdout


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for package in ("resnet", "flows"):
        shutil.copytree(REPOSITORY / package, tmp_path / package)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("resnet/data/sources.py", "import resnet.training", "The rooms import downward"),
        ("resnet/system/files.py", "import resnet.params", "The rooms import downward"),
        ("flows/start.py", "import resnet.cli", "Flows stand between"),
        ("resnet/registry/versions.py", "import resnet.registry.card", "The rooms of the registry"),
        ("resnet/training/loss.py", "import resnet.training.engines", "No circles"),
        ("resnet/evaluation/score.py", "import resnet.nets", "Registration never trains"),
        ("resnet/registry/store.py", "import resnet.forms.image", "A form is entered by its doors"),
        ("flows/score.py", "import resnet.data.sets", "What knows one data set"),
        ("flows/start.py", "from resnet.training import schedule", "Flows call what is above"),
        ("resnet/operations/servers.py", "import prefect", "Prefect is imported by flows alone"),
        ("resnet/monitoring/drift.py", "import mlflow.entities", "MLflow is imported by"),
        ("flows/start.py", "import mlflow", "MLflow is imported by"),
        ("resnet/checkout/stages.py", "import dvc.api", "Nobody imports dvc"),
    ],
)
def test_an_import_against_a_contract_is_found(
    copied: Path, module: str, line: str, contract: str
) -> None:
    with (copied / module).open("a") as stream:
        stream.write(f"\n{line}\n")
    report = linted(copied)
    broken = [line for line in report.splitlines() if " BROKEN" in line]
    # An import that runs upward can close a circle as well.
    others = [line for line in broken if not line.startswith((contract, "No circles"))]
    assert any(line.startswith(contract) for line in broken), report
    assert others == []


def test_the_project_keeps_its_contracts(copied: Path) -> None:
    assert " 0 broken." in linted(copied)


def test_a_module_outside_of_the_rooms_is_found(copied: Path) -> None:
    (copied / "resnet" / "helpers.py").write_text("")
    assert "The rooms import downward only BROKEN" in linted(copied)


def test_every_folder_of_modules_is_a_package() -> None:
    """import-linter passes over a folder without __init__.py, and says nothing."""
    for package in ("resnet", "flows"):
        folders = {path.parent for path in (REPOSITORY / package).rglob("*.py")}
        assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
