"""The checkout is found from within, and its environment gives way to the user's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from resnet import project
from resnet.errors import PipelineError

ROOT = Path(__file__).parents[1]


def test_the_checkout_is_found_from_any_folder_in_it():
    assert project.find_root(ROOT / "resnet" / "data") == ROOT


def test_outside_of_a_checkout_there_is_a_clear_error(tmp_path):
    with pytest.raises(PipelineError, match="is in no checkout of this project"):
        project.find_root(tmp_path)


def test_state_stays_in_the_checkout_and_telemetry_is_off(tmp_path, monkeypatch):
    for name in ("PREFECT_HOME", "KERAS_HOME", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    env = project.environment(tmp_path)
    assert env["PREFECT_HOME"] == str(tmp_path / ".state" / "prefect")
    assert env["KERAS_HOME"] == str(tmp_path / ".state" / "keras")
    assert env["DO_NOT_TRACK"] == "1"
    assert env["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert env["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_what_the_user_has_set_is_respected(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", "/somewhere/else")
    assert project.environment(tmp_path)["PREFECT_HOME"] == "/somewhere/else"


def test_this_interpreters_commands_come_first_on_the_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.pathsep.join(["/usr/bin", str(Path(sys.executable).parent)]))
    folders = project.environment(tmp_path)["PATH"].split(os.pathsep)
    assert folders == [str(Path(sys.executable).parent), "/usr/bin"]


def loaded(code: str, *words: str) -> set[str]:
    """Top-level modules that a process has loaded when it has run `code`."""
    script = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


HEAVY = {"prefect", "mlflow", "dvc", "pandas", "matplotlib"}


def test_help_loads_nothing_heavy():
    code = "from resnet.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not loaded(code) & (HEAVY | {"keras", "tensorflow", "jax", "numpy", "pydantic"})


def test_training_needs_none_of_the_tools_around_it():
    blocked = f"for name in {sorted(HEAVY)}: sys.modules[name] = None"  # Keras looks for pandas
    code = (
        "from resnet import backend; backend.select('tensorflow', 'cpu')\n"
        "import resnet.training.train, resnet.training.engine, resnet.model_file"
    )
    assert "tensorflow" in loaded(f"{blocked}\n{code}")
