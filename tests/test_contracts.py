"""Who may import whom: import-linter sees it where somebody else does."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def linted(root: Path) -> str:
    """What import-linter says of the packages in `root`."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    env = {"PYTHONPATH": str(root), "LANG": "C.UTF-8", "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=root, env=env, capture_output=True, text=True, check=False
    ).stdout


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for package in ("resnet", "flows"):
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("resnet/data/sources.py", "import resnet.nets", "The layers of the house"),
        ("resnet/registry/gate.py", "import resnet.training", "Registration never trains"),
        ("flows/start.py", "from resnet.data import sources", "Flows call what is above"),
        ("resnet/servers.py", "import prefect", "Prefect is imported by flows alone"),
        ("resnet/servers.py", "import mlflow.entities", "MLflow is imported by resnet.registry"),
        ("flows/start.py", "import mlflow", "MLflow is imported by resnet.registry"),
        ("resnet/stages.py", "import dvc.api", "Nobody imports dvc"),
    ],
)
def test_an_import_against_a_contract_is_found(
    copied: Path, module: str, line: str, contract: str
) -> None:
    with (copied / module).open("a") as stream:
        stream.write(f"\n{line}\n")
    said = linted(copied)
    assert " 1 broken." in said, said
    (broken,) = [one for one in said.splitlines() if " BROKEN" in one]
    assert broken.startswith(contract)


def test_the_project_keeps_its_contracts(copied: Path) -> None:
    assert " 0 broken." in linted(copied)
