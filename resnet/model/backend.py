"""Select Keras's backend and its device, before Keras is imported.

`select("tensorflow", "gpu")` → `Device`. Only a program's entry point calls it, once: the backend
is fixed when Keras is first imported, the device when the backend is.
"""

import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from resnet.errors import PipelineError

# What Keras and TensorFlow import if it is installed, for wrappers and adapters that are not used
# here: half of the seconds that `import keras` takes, and a quarter of a gigabyte.
UNUSED = ("jax", "matplotlib", "pandas", "sklearn", "tensorflow")  # except the backend itself
CPU_DETAILS = {"cpu family": "family", "model": "model"}  # of /proc/cpuinfo
VECTOR_FLAGS = ("avx512f", "avx2", "avx")  # the widest first


@dataclass(frozen=True)
class Device:
    """Where training or scoring runs."""

    backend: str  # tensorflow | jax
    kind: Literal["cpu", "gpu"]
    name: str  # such as "NVIDIA H200", or what `cpu_name` gives
    process: int = 0  # the number of this process in a distributed training
    processes: int = 1


# Keras's own variables for a distributed training.
DISTRIBUTION = tuple(
    f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
)


def select(
    backend: str, device: str, *, deterministic: bool = False, distributed: bool = False
) -> Device:
    """Make Keras use `backend` (tensorflow | jax) on `device` (auto | cpu | gpu).

    `auto` is a GPU where there is one. With `deterministic`, only operations are used that give the
    same bits every time on one machine. With `distributed`, and if the variables `DISTRIBUTION` are
    set, this process waits for the other processes of the training and joins them.

    Raises PipelineError where the backend is not installed, where `device` is gpu and the backend
    sees none, and where the other processes cannot be reached.
    """
    _require_selectable(backend)
    distributed = distributed and any(os.environ.get(name) for name in DISTRIBUTION)
    if distributed and backend != "jax":
        raise PipelineError(
            f"{DISTRIBUTION[0]} asks for several processes and train.backend is {backend}: set it "
            "to jax, or unset the variable"
        )
    _set_environment(backend)
    unused = [name for name in UNUSED if name != backend]
    with _quiet_stderr(), _hidden_modules(unused):
        if deterministic:
            _use_deterministic_operations(backend)
    if distributed:
        with _hidden_modules(unused):
            _join_processes(device)
    with _quiet_stderr(), _hidden_modules(unused):
        gpus = _jax_gpus(device) if backend == "jax" else _tensorflow_gpus(device)
    if device == "gpu" and not gpus:
        raise PipelineError(
            f"train.device is gpu, but {backend} sees none: install the extra "
            f"{'jax-gpu' if backend == 'jax' else 'gpu'} and check whether nvidia-smi finds the "
            "GPU, or set train.device to auto or cpu"
        )
    with _quiet_stderr(), _hidden_modules(unused):
        _import_keras()  # which starts TensorFlow, and that is noisy
    kind: Literal["cpu", "gpu"] = "gpu" if gpus else "cpu"
    selected = Device(backend, kind, gpus[0] if gpus else cpu_name())
    if not distributed:
        return selected
    import jax

    return replace(selected, process=jax.process_index(), processes=jax.process_count())


def cpu_name() -> str:
    """The processor, and how many of its cores this process may use.

    Both decide the last bits of a sum: libraries choose their kernels by generation and vector
    width, and divide the work among the cores.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cpu_model()}, {cores} cores"


def cpu_model() -> str:
    """The processor, as in "AMD EPYC (family 25, model 1, avx2)".

    The names on virtual machines are vague, so the numbers of /proc/cpuinfo follow.
    """
    cpuinfo, flags = _cpuinfo(), cpu_flags()
    details = [f"{name} {cpuinfo[key]}" for key, name in CPU_DETAILS.items() if key in cpuinfo]
    details += [name for name in VECTOR_FLAGS if name in flags][:1]
    name = cpuinfo.get("model name") or platform.processor() or platform.machine()
    return f"{name} ({', '.join(details)})" if details else name


def cpu_flags() -> frozenset[str]:
    """The processor's features by Linux's names, such as avx2; none on other systems."""
    return frozenset(_cpuinfo().get("flags", "").split())


def _cpuinfo() -> dict[str, str]:
    """/proc/cpuinfo of the first processor; empty on systems other than Linux."""
    try:
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return {}
    lines = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _require_selectable(backend: str) -> None:
    if "keras" in sys.modules and sys.modules["keras"].config.backend() != backend:
        raise RuntimeError("select() must be called before keras is imported")
    if importlib.util.find_spec(backend) is None:
        raise PipelineError(
            f"train.backend is {backend}, which is not installed: install the extra 'bench' "
            "(jax for CPUs) or 'jax-gpu', or set train.backend to tensorflow"
        )


def _set_environment(backend: str) -> None:
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hide warnings of no use to the user
    # By default TensorFlow uses oneDNN's convolutions only on CPUs with AVX-512 VNNI. A variable in
    # the user's shell, often set to hide a message, must not decide speed and bits.
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"


def _import_keras() -> None:
    """Import Keras with its default settings: a user's keras.json is meant for other networks."""
    import keras

    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    # Keras probes for TensorFlow once, at the first serialisation; do it now, while it is hidden.
    keras.saving.serialize_keras_object(keras.DTypePolicy("float32"))


def _use_deterministic_operations(backend: str) -> None:
    """Call it before the backend's first operation: XLA reads its flags when JAX finds devices."""
    if backend == "jax":
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
        return
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def _tensorflow_gpus(device: str) -> list[str]:
    """The names of the GPUs that TensorFlow will use; each allocates memory as needed."""
    import tensorflow as tf

    gpus: list[Any] = tf.config.list_physical_devices("GPU")
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
        return []
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return [str(detail.get("device_name", "GPU")) for detail in details]


def _jax_gpus(device: str) -> list[str]:
    """The names of the GPUs that JAX will use."""
    jax = _jax(device)
    if device == "cpu":
        return []
    return [gpu.device_kind for gpu in jax.devices() if gpu.platform == "gpu"]


def _jax(device: str) -> Any:
    """JAX, configured before it finds its devices."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # allocate memory as needed
    import jax

    # For the initial weights that Keras draws and `initialize` replaces: the default takes seconds
    # to compile.
    jax.config.update("jax_threefry_partitionable", False)
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    return jax


def _join_processes(device: str) -> None:
    """Wait for the other processes of a distributed training, before JAX's first operation.

    Raises PipelineError where the variables are wrong. Where the other processes do not come, JAX
    ends this process after five minutes.
    """
    missing = [name for name in DISTRIBUTION if not os.environ.get(name)]
    if missing:
        raise PipelineError(
            f"{', '.join(missing)} must also be set: distributed training needs the coordinator "
            f"({DISTRIBUTION[0]}, host:port of process 0), the number of processes and this "
            "process's id (from 0)"
        )
    jax = _jax(device)
    jax.config.update("jax_enable_preemption_service", False)  # this project handles SIGTERM
    import keras

    address, processes, process = (os.environ[name] for name in DISTRIBUTION)
    print(f"process {process} of {processes} waits for the others at {address}", flush=True)
    try:
        keras.distribution.initialize()
    except (RuntimeError, ValueError) as error:
        raise PipelineError(
            f"process {process} of {processes} cannot reach the others at {address} ({error}): "
            f"correct {', '.join(DISTRIBUTION)}"
        ) from error


@contextmanager
def _hidden_modules(names: Iterable[str]) -> Iterator[None]:
    """Make imports of the modules `names` fail in the block, as if they were not installed.

    A None in `sys.modules` does that (The import system, section 5.3.1). Modules that are loaded
    already stay.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Hold back what C++ code writes to stderr; print it after all when the block raises."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as output:
        os.dup2(output.fileno(), 2)
        try:
            yield
        except BaseException:
            output.seek(0)
            os.write(stderr, output.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
