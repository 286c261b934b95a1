"""Choose Keras's backend and its device, before Keras is imported.

`select("tensorflow", "gpu")` → `Device`. Only a program's entry calls it, once: the backend is
fixed when Keras is first imported, the device when the backend is.
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

# What Keras and TensorFlow import where it is installed, for wrappers and adapters that nothing
# here uses: half of the seconds that `import keras` takes, and a quarter of a gigabyte.
UNUSED = ("jax", "matplotlib", "pandas", "sklearn", "tensorflow")  # but for the backend itself
CPU_DETAILS = {"cpu family": "family", "model": "model"}  # of /proc/cpuinfo
VECTORS = ("avx512f", "avx2", "avx")  # the widest first


@dataclass(frozen=True)
class Device:
    """Where training or scoring runs."""

    backend: str  # tensorflow | jax
    kind: Literal["cpu", "gpu"]
    name: str  # such as "NVIDIA H200", or what `cpu_name` gives
    process: int = 0  # this one's number among those that train together
    processes: int = 1


TOGETHER = tuple(
    f"KERAS_DISTRIBUTION_{what}" for what in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
)  # Keras's own variables


def select(
    backend: str, device: str, *, deterministic: bool = False, together: bool = False
) -> Device:
    """Make Keras use `backend` (tensorflow | jax) on `device` (auto | cpu | gpu).

    `auto` is a GPU where there is one. With `deterministic`, only operations are used that give the
    same bits every time on one machine. With `together`, and where the variables `TOGETHER` are
    set, this process waits for the others that they tell of and becomes one of them.

    Raises PipelineError where the backend is not installed, where `device` is gpu and the backend
    sees none, and where the other processes cannot be found.
    """
    if "keras" in sys.modules and sys.modules["keras"].config.backend() != backend:
        raise RuntimeError("select() must be called before keras is imported")
    if importlib.util.find_spec(backend) is None:
        raise PipelineError(
            f"train.backend is {backend}, which is not installed: install the extra 'bench' "
            "(jax for CPUs) or 'jax-gpu', or set train.backend to tensorflow"
        )
    together = together and any(os.environ.get(name) for name in TOGETHER)
    if together and backend != "jax":
        raise PipelineError(
            f"{TOGETHER[0]} asks for several processes and train.backend is {backend}: set it to "
            "jax, or unset the variable"
        )
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # warnings of no use to the user
    # By itself TensorFlow takes oneDNN's convolutions on CPUs with AVX-512 VNNI alone. What a shell
    # says of it, often to be rid of a message, must not decide speed and bits.
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    unused = [name for name in UNUSED if name != backend]
    with _quiet(), _hidden(unused):
        if deterministic:
            _be_deterministic(backend)
    if together:
        with _hidden(unused):
            _join(device)
    with _quiet(), _hidden(unused):
        gpus = _jax_gpus(device) if backend == "jax" else _tensorflow_gpus(device)
    if device == "gpu" and not gpus:
        raise PipelineError(
            f"train.device is gpu, but {backend} sees none: install the extra "
            f"{'jax-gpu' if backend == 'jax' else 'gpu'} and look whether nvidia-smi finds the "
            "GPU, or set train.device to auto or cpu"
        )
    with _quiet(), _hidden(unused):
        import keras  # here, because TensorFlow's start is noisy

        _set_defaults()
        # Keras asks once, when it first writes an object down, whether TensorFlow is there.
        keras.saving.serialize_keras_object(keras.DTypePolicy("float32"))
    kind: Literal["cpu", "gpu"] = "gpu" if gpus else "cpu"
    where = Device(backend, kind, gpus[0] if gpus else cpu_name())
    if not together:
        return where
    import jax

    return replace(where, process=jax.process_index(), processes=jax.process_count())


def cpu_name() -> str:
    """The processor, and how many of its cores this process may use.

    Both decide the last bits of a sum: libraries choose their kernels by generation and vector
    width, and share the work among the cores. Virtual machines keep the names vague, so the
    kernel's numbers stand beside them, as in "AMD EPYC (family 25, model 1, avx2), 2 cores".
    """
    try:
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        first = ""
    lines = (line.partition(":") for line in first.splitlines())
    told = {name.strip(): value.strip() for name, _, value in lines}
    flags = told.get("flags", "").split()
    details = [f"{name} {told[key]}" for key, name in CPU_DETAILS.items() if key in told]
    details += [name for name in VECTORS if name in flags][:1]
    name = told.get("model name") or platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name} ({', '.join(details)}), {cores} cores" if details else f"{name}, {cores} cores"


def _set_defaults() -> None:
    """Keras as it comes: what a user's keras.json says is meant for other networks."""
    import keras

    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)


def _be_deterministic(backend: str) -> None:
    """Before the backend's first operation: XLA reads its flags when JAX looks for devices."""
    if backend == "jax":
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
        return
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def _tensorflow_gpus(device: str) -> list[str]:
    """The names of the GPUs that TensorFlow will use, each told to take memory as it needs it."""
    import tensorflow as tf

    found: list[Any] = tf.config.list_physical_devices("GPU")
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
        return []
    for gpu in found:
        tf.config.experimental.set_memory_growth(gpu, True)
    details = [tf.config.experimental.get_device_details(gpu) for gpu in found]
    return [str(detail.get("device_name", "GPU")) for detail in details]


def _jax_gpus(device: str) -> list[str]:
    """The names of the GPUs that JAX will use."""
    jax = _jax(device)
    if device == "cpu":
        return []
    return [gpu.device_kind for gpu in jax.devices() if gpu.platform == "gpu"]


def _jax(device: str) -> Any:
    """JAX, told what it must be told before it looks for devices."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # memory as it is needed
    import jax

    # For the first weights that Keras draws and ours replace: the other way takes seconds to
    # compile.
    jax.config.update("jax_threefry_partitionable", False)
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    return jax


def _join(device: str) -> None:
    """Wait for the processes that the variables tell of, which must come before JAX's first step.

    Raises PipelineError where the variables are wrong. Where the others do not come, JAX ends this
    process after five minutes.
    """
    missing = [name for name in TOGETHER if not os.environ.get(name)]
    if missing:
        raise PipelineError(
            f"{', '.join(missing)} must be set too: processes that train together need "
            f"{TOGETHER[0]} (host:port of process 0), their number and each its own, from 0"
        )
    jax = _jax(device)
    jax.config.update("jax_enable_preemption_service", False)  # SIGTERM is ours to take
    import keras

    address, number, own = (os.environ[name] for name in TOGETHER)
    print(f"process {own} of {number} waits for the others at {address}", flush=True)
    try:
        keras.distribution.initialize()
    except (RuntimeError, ValueError) as error:
        raise PipelineError(
            f"process {own} of {number} cannot train with others by {address} ({error}): mend "
            f"{', '.join(TOGETHER)}"
        ) from error


@contextmanager
def _hidden(names: Iterable[str]) -> Iterator[None]:
    """Let importing the modules `names` fail as if they were not installed, for a while.

    A None in `sys.modules` says so (The import system, section 5.3.1). What is loaded already
    stays.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what C++ writes to stderr; give it out after all when the block raises."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as noise:
        os.dup2(noise.fileno(), 2)
        try:
            yield
        except BaseException:
            noise.seek(0)
            os.write(kept, noise.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
