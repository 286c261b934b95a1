"""A backend is selected once per process, so each has its own, whose output is tested."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from resnet import params
from resnet.forms.data_spec import DataSpec
from resnet.model.backend import cpu_flags, cpu_name
from resnet.nets.build import build
from tests.support import REPOSITORY

SELECT = """
import sys
from pathlib import Path
from resnet.model import backend
from resnet import params
from resnet.errors import PipelineError
for device in sys.argv[2:]:
    try:
        print(backend.select(sys.argv[1], device, deterministic=True))
    except PipelineError as error:
        print("PipelineError", error)
if "keras" in sys.modules:
    import keras, tempfile
    from resnet.nets.build import build
    from resnet.forms.data_spec import DataSpec
    print("Keras runs on", keras.config.backend())
    data = DataSpec("image", (32, 32, 3), [125.0] * 3, [63.0] * 3, classes=10)
    model = build(params.load(Path()).net, data)
    print("built:", {one.dtype for one in model.weights}, model.count_params())
    print("epsilon:", keras.config.epsilon())
    x = keras.Input((3,))
    keras.Model(x, x).save(tempfile.mkdtemp() + "/model.keras")
    print("loaded:", *(name for name in backend.UNUSED if name in sys.modules))
"""
USERS_KERAS = {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 0.1}
# TensorFlow refuses to draw without a seed; XLA ends a process with a flag that it does not know.
THEN = {
    "tensorflow": """
import tensorflow as tf
try:
    tf.random.normal([])
except RuntimeError:
    print("refused")
import jax, matplotlib, pandas, sklearn
print("imported later")
""",
    "jax": """
import jax, os
if 1 + jax.numpy.ones([]) == 2 and "deterministic_ops=true" in os.environ["XLA_FLAGS"]:
    print("refused")
""",
}
Selected = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> Selected:
    """Runs `select` in a process of its own, with a keras.json of other values."""
    home = tmp_path_factory.mktemp("keras")
    (home / "keras.json").write_text(json.dumps(USERS_KERAS))

    @cache
    def run(backend: str, *devices: str) -> "subprocess.CompletedProcess[str]":
        process = subprocess.run(
            [sys.executable, "-c", SELECT + THEN.get(backend, ""), backend, *devices],
            cwd=REPOSITORY,
            env={**os.environ, "KERAS_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        return process

    return run


def has_gpu() -> bool:
    try:
        return subprocess.run(["nvidia-smi"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_keras_runs_on_the_selected_backend_without_noise(backend: str, selected: Selected) -> None:
    process = selected(backend, "gpu", "cpu")
    assert f"Device(backend='{backend}', kind='cpu'" in process.stdout
    assert f"Keras runs on {backend}" in process.stdout
    assert process.stderr == ""


@pytest.mark.skipif(has_gpu(), reason="there is a GPU here")
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_gpu_where_there_is_none_is_an_error_and_never_a_cpu_run(
    backend: str, selected: Selected
) -> None:
    process = selected(backend, "gpu", "cpu")
    assert process.stdout.startswith(f"PipelineError train.device is gpu, but {backend} sees none")
    assert "set train.device to auto or cpu" in process.stdout


def test_processors_with_one_name_differ_by_generation_vector_width_and_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpuinfo = """processor\t: 0
cpu family\t: 25
model\t\t: 1
model name\t: AMD EPYC
flags\t\t: fpu sse2 avx avx2 fma

processor\t: 1
model name\t: another
"""
    monkeypatch.setattr(Path, "read_text", lambda _: cpuinfo)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3}, raising=False)
    assert cpu_name() == "AMD EPYC (family 25, model 1, avx2), 2 cores"
    assert cpu_flags() == {"fpu", "sse2", "avx", "avx2", "fma"}
    cpuinfo = cpuinfo.replace("avx2", "avx2 avx512f")
    cpuinfo = cpuinfo.replace(": 1\nmodel name", ": 17\nmodel name")
    assert cpu_name() == "AMD EPYC (family 25, model 17, avx512f), 2 cores"
    cpuinfo = "processor\t: 0\nBogoMIPS\t: 100\n"  # as on ARM
    monkeypatch.setattr(platform, "processor", lambda: "aarch64")
    assert cpu_name() == "aarch64, 2 cores"
    assert cpu_flags() == set()


def test_a_backend_that_is_not_installed_says_how_to_install_it(selected: Selected) -> None:
    process = selected("no_such_backend", "auto")
    assert (
        "PipelineError train.backend is no_such_backend, which is not installed" in process.stdout
    )


def test_unused_imports_of_keras_are_skipped_and_can_be_imported_later(
    selected: Selected,
) -> None:
    for backend in ("tensorflow", "jax"):
        assert f"loaded: {backend}" in selected(backend, "gpu", "cpu").stdout.splitlines()
    assert "imported later" in selected("tensorflow", "gpu", "cpu").stdout.splitlines()


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_users_keras_json_does_not_change_our_networks(backend: str, selected: Selected) -> None:
    lines = selected(backend, "gpu", "cpu").stdout.splitlines()
    ours = build(
        params.load(REPOSITORY).net,
        DataSpec("image", (32, 32, 3), [125.0] * 3, [63.0] * 3, classes=10),
    )
    assert f"built: {{'float32'}} {ours.count_params()}" in lines
    assert "epsilon: 1e-07" in lines


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_nondeterministic_operations_are_refused_if_determinism_is_requested(
    backend: str, selected: Selected
) -> None:
    assert "refused" in selected(backend, "gpu", "cpu").stdout.splitlines()
