import json
import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from resnet.backend import cpu_name

SELECT = """
import sys
from resnet import backend
from resnet.errors import PipelineError
for device in sys.argv[2:]:
    try:
        print(backend.select(sys.argv[1], device))
    except PipelineError as error:
        print("PipelineError", error)
if "keras" in sys.modules:
    import keras, tempfile
    print("Keras runs on", keras.config.backend())
    x = keras.Input((3,))
    keras.Model(x, x).save(tempfile.mkdtemp() + "/model.keras")
    print("loaded:", *(name for name in backend.UNUSED if name in sys.modules))
"""


@cache
def selected(backend: str, *devices: str) -> subprocess.CompletedProcess[str]:
    """`select` in a process of its own, as the backend can be chosen only once; what it gave."""
    command = [sys.executable, "-c", SELECT, backend, *devices]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def has_gpu() -> bool:
    try:
        return subprocess.run(["nvidia-smi"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_keras_runs_on_the_chosen_backend_without_noise(backend: str) -> None:
    done = selected(backend, "gpu", "cpu")
    assert f"Device(backend='{backend}', kind='cpu'" in done.stdout
    assert f"Keras runs on {backend}" in done.stdout
    assert done.stdout.splitlines()[-1] == f"loaded: {backend}"
    assert done.stderr == ""


@pytest.mark.skipif(has_gpu(), reason="there is a GPU here")
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_gpu_where_there_is_none_is_an_error_and_never_a_cpu_run(backend: str) -> None:
    done = selected(backend, "gpu", "cpu")
    assert done.stdout.startswith(f"PipelineError train.device is gpu, but {backend} sees none")
    assert "set train.device to auto or cpu" in done.stdout


def test_processors_of_one_name_differ_by_generation_vectors_and_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = """processor\t: 0
cpu family\t: 25
model\t\t: 1
model name\t: AMD EPYC
flags\t\t: fpu sse2 avx avx2 fma

processor\t: 1
model name\t: another
"""
    monkeypatch.setattr(Path, "read_text", lambda _: told)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3}, raising=False)
    assert cpu_name() == "AMD EPYC (family 25, model 1, avx2), 2 cores"
    told = told.replace("avx2", "avx2 avx512f").replace(": 1\nmodel name", ": 17\nmodel name")
    assert cpu_name() == "AMD EPYC (family 25, model 17, avx512f), 2 cores"
    told = "processor\t: 0\nBogoMIPS\t: 100\n"  # as ARM's kernel tells it
    monkeypatch.setattr(platform, "processor", lambda: "aarch64")
    assert cpu_name() == "aarch64, 2 cores"


def test_a_backend_that_is_not_installed_says_how_to_install_it() -> None:
    done = selected("no_such_backend", "auto")
    assert "PipelineError train.backend is no_such_backend, which is not installed" in done.stdout


def test_what_keras_imports_for_nothing_is_left_out_and_can_be_imported_later() -> None:
    code = (
        "import sys; from resnet import backend; backend.select('tensorflow', 'cpu')\n"
        "print(*(name for name in backend.UNUSED if name in sys.modules))\n"
        "import jax, matplotlib, pandas, sklearn; print('imported')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["tensorflow", "imported"]


BUILD = """
import sys
from pathlib import Path
from resnet import backend, params
backend.select("tensorflow", "cpu")
import keras
from resnet.nets.build import build
model = build(params.load(Path(sys.argv[1])).net, [125.0] * 3, [63.0] * 3)
print({one.dtype for one in model.weights}, keras.config.epsilon(), model.count_params())
"""


def test_a_users_keras_json_does_not_change_our_networks(tmp_path: Path) -> None:
    built = []
    for home, settings in (
        ("none", {}),
        ("other", {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 0.1}),
    ):
        (tmp_path / home).mkdir()
        (tmp_path / home / "keras.json").write_text(json.dumps(settings))
        done = subprocess.run(
            [sys.executable, "-c", BUILD, Path(__file__).parents[1]],
            env={**os.environ, "KERAS_HOME": str(tmp_path / home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        built.append(done.stdout)
    assert built[0].startswith("{'float32'} 1e-07 ")
    assert built[0] == built[1]


# TensorFlow refuses to draw without a seed; XLA ends a process with a flag that it does not know.
DETERMINISTIC = {
    "tensorflow": """
import tensorflow as tf
try:
    tf.random.normal([])
except RuntimeError:
    print("refused")
""",
    "jax": """
import jax, os
if 1 + jax.numpy.ones([]) == 2 and "deterministic_ops=true" in os.environ["XLA_FLAGS"]:
    print("refused")
""",
}


@pytest.mark.parametrize("backend", DETERMINISTIC)
def test_what_is_not_deterministic_is_refused_where_that_was_asked(backend: str) -> None:
    code = f"from resnet import backend; backend.select({backend!r}, 'cpu', deterministic=True)\n"
    command = [sys.executable, "-c", code + DETERMINISTIC[backend]]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == "refused\n"
