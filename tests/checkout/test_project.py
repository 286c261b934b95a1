"""The checkout is found from any folder in it; the user's own environment takes precedence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from resnet import params
from resnet.checkout import project
from resnet.errors import PipelineError
from resnet.system import files
from tests.support import REPOSITORY, loaded


def test_the_checkout_is_found_from_any_folder_in_it():
    assert project.find_root(REPOSITORY / "resnet" / "data") == REPOSITORY


def test_outside_of_a_checkout_there_is_a_clear_error(tmp_path):
    with pytest.raises(PipelineError, match="is not in a checkout of this project"):
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
    assert env["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"


def test_the_users_own_variables_take_precedence(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", "/somewhere/else")
    assert project.environment(tmp_path)["PREFECT_HOME"] == "/somewhere/else"


def test_this_interpreters_commands_come_first_on_the_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.pathsep.join(["/usr/bin", str(Path(sys.executable).parent)]))
    folders = project.environment(tmp_path)["PATH"].split(os.pathsep)
    assert folders == [str(Path(sys.executable).parent), "/usr/bin"]


@pytest.fixture
def with_env_file(tmp_path, monkeypatch):
    """A function that writes the .env of a checkout, and enters it from a folder in it."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in (*project.LOCATIONS, "PYTHON_DOTENV_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")

    def enter(content: bytes) -> Path:
        (tmp_path / ".env").write_bytes(content)
        project.enter(tmp_path)
        return tmp_path

    return enter


def test_variables_of_the_env_file_are_set_and_its_paths_are_from_the_checkout(with_env_file):
    root = with_env_file(b"# mine\nCIFAR10_ARCHIVE=cifar.tar.gz\nexport MLFLOW_X='a b'\n")
    assert os.environ["CIFAR10_ARCHIVE"] == str(root / "cifar.tar.gz")
    assert os.environ["MLFLOW_X"] == "a b"


def test_the_users_variables_take_precedence_over_the_env_file(with_env_file, monkeypatch):
    monkeypatch.setenv("CIFAR10_ARCHIVE", "here.tar.gz")
    monkeypatch.setenv("CIFAR10_ANNOTATIONS", "~/annotations")
    root = with_env_file(b"CIFAR10_ARCHIVE=/there\nCIFAR10_ANNOTATIONS=/there\n")
    assert os.environ["CIFAR10_ARCHIVE"] == str(root / "inside" / "here.tar.gz")
    assert os.environ["CIFAR10_ANNOTATIONS"] == str(Path.home() / "annotations")


def test_an_env_file_that_is_no_text_is_an_error(with_env_file):
    with pytest.raises(PipelineError, match=r"\.env cannot be read .*NAME=value"):
        with_env_file(b"CIFAR10_ARCHIVE=\xff\xfe")


HEAVY = {"prefect", "mlflow", "dvc", "pandas", "matplotlib"}


def test_help_loads_nothing_heavy():
    code = "from resnet.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not loaded(code) & (HEAVY | {"keras", "tensorflow", "jax", "numpy", "pydantic"})


# Python imports it by itself when it starts, and so in the process of a command.
LIST_AT_EXIT = """
import atexit, sys
atexit.register(lambda: print(*{name.partition(".")[0] for name in sys.modules}))
"""


def test_training_loads_none_of_the_tools_around_it_and_leaves_the_home_alone(tmp_path):
    root, home, hook = (tmp_path / name for name in ("checkout", "home", "hook"))
    for folder in (root / "data" / "arrays", root / "reports", home, hook):
        folder.mkdir(parents=True)
    (hook / "sitecustomize.py").write_text(LIST_AT_EXIT)
    shutil.copy(REPOSITORY / "dvc.yaml", root)
    small = ["net.depth=6", "net.widths=[4, 8]", "train.steps=2", "train.batch=10"]
    values = params.merge(
        params.read(REPOSITORY), REPOSITORY, "smoke", [*small, "train.device=cpu"]
    )
    (root / "params.yaml").write_text(params.dump(values))
    random = np.random.default_rng(0)
    for split in ("train", "validation"):
        images = random.integers(0, 256, (50, 32, 32, 3), np.uint8)
        np.save(root / "data" / "arrays" / f"{split}_images.npy", images)
        np.save(
            root / "data" / "arrays" / f"{split}_labels.npy", np.arange(50, dtype=np.uint8) % 10
        )
    classes = [f"class {k}" for k in range(10)]
    profile = {"mean": [128.0] * 3, "deviation": [60.0] * 3, "classes": classes}
    files.write_json(root / "reports" / "profile.json", profile)
    env = {name: value for name, value in os.environ.items() if name != "KERAS_HOME"}
    env |= {"HOME": str(home), "PYTHONPATH": os.pathsep.join([str(hook), str(REPOSITORY)])}
    done = subprocess.run(
        [sys.executable, "-m", "resnet", "train"],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    modules = set(done.stdout.splitlines()[-1].split())
    assert {"tensorflow", "keras"} < modules
    assert not modules & (HEAVY | {"onnx", "onnxruntime", "tf2onnx"})
    assert list(home.iterdir()) == []
    assert (root / "models" / "model.keras").exists()
