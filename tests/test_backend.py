import subprocess
import sys

import pytest


def selected(backend: str, device: str) -> subprocess.CompletedProcess[str]:
    """`select` in a process of its own, since a process selects once; prints what it gave."""
    code = f"""
from resnet import backend
from resnet.errors import PipelineError
try:
    print(backend.select({backend!r}, {device!r}))
    import keras
    print(keras.config.backend())
except PipelineError as error:
    print("PipelineError", error)
"""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True)


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_keras_runs_on_the_chosen_backend_without_noise(backend: str) -> None:
    done = selected(backend, "cpu")
    assert f"backend='{backend}', kind='cpu'" in done.stdout
    assert done.stdout.endswith(f"{backend}\n")
    assert done.stderr == ""


def has_gpu() -> bool:
    try:
        return subprocess.run(["nvidia-smi"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(has_gpu(), reason="there is a GPU here")
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_gpu_where_there_is_none_is_an_error_and_never_a_cpu_run(backend: str) -> None:
    done = selected(backend, "gpu")
    assert "PipelineError train.device is gpu" in done.stdout
    assert "set train.device to auto or cpu" in done.stdout


def test_a_backend_that_is_not_installed_says_how_to_install_it() -> None:
    done = selected("no_such_backend", "auto")
    assert "PipelineError train.backend is no_such_backend, which is not installed" in done.stdout
