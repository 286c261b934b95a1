"""Which precision a network computes in, where the parameters leave it to the machine.

The processor's features and a short measurement in → float32 or bfloat16 out.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from resnet.model import backend

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
INSTRUCTIONS = ("amx_bf16", "avx512_bf16")  # flags of CPUs that multiply matrices of bfloat16
# Of float32's time, at most, that bfloat16 may take for convolutions: what stands between them is
# not faster in bfloat16, and a choice near 1 would change from one measurement to the next.
WORTHWHILE = 0.8
SHAPES = (32, 16), (16, 64), (8, 128)  # side and channels of the maps, as networks here have them
BATCH = 32
ROUNDS = 3


@dataclass(frozen=True)
class Choice:
    """A precision, and why it was taken."""

    precision: Precision
    reason: str


def choose(device: backend.Device, begun: Sequence[Precision] = ()) -> Choice:
    """The precision that is faster on `device`, which must be selected; it may be measured.

    Work that has `begun` in one precision goes on in it.
    """
    if device.processes > 1:  # each would measure, and might choose another
        return Choice("float32", "as always in several processes")
    if begun:
        return Choice(begun[0], "that of the checkpoint")
    if device.kind == "gpu":
        return Choice("float32", "as always on a GPU")
    return on_cpu(backend.cpu_flags(), lambda: measure(device.backend))


def on_cpu(flags: Collection[str], seconds: Callable[[], tuple[float, float]]) -> Choice:
    """The choice on a CPU with `flags`, where work takes `seconds` in float32 and in bfloat16.

    They are not asked for where the CPU has no instructions for bfloat16.
    """
    if not has_bfloat16(flags):
        return Choice("float32", "this CPU has no instructions for bfloat16")
    float32, bfloat16 = seconds()
    reason = f"convolutions in bfloat16 take {bfloat16 / float32:.2f} of the time of float32"
    return Choice("bfloat16" if bfloat16 <= WORTHWHILE * float32 else "float32", reason)


def has_bfloat16(flags: Collection[str]) -> bool:
    """Whether a CPU with these flags computes bfloat16 itself; elsewhere it is emulated."""
    return any(flag in flags for flag in INSTRUCTIONS)


def measure(backend_name: str) -> tuple[float, float]:
    """The seconds of a few 3 × 3 convolutions and their gradients in float32 and in bfloat16.

    The best of a few rounds in turn, after one that compiles.
    """
    convolve = {"tensorflow": _on_tensorflow, "jax": _on_jax}[backend_name]
    works = [convolve(precision) for precision in PRECISIONS]
    rounds = [[_seconds(work) for work in works] for _ in range(1 + ROUNDS)]
    float32, bfloat16 = np.min(rounds[1:], axis=0).tolist()
    return float32, bfloat16


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _arrays() -> list[tuple[Any, Any]]:
    """Maps (N, S, S, C) and a kernel (3, 3, C, C) for each of `SHAPES`."""
    random = np.random.default_rng(0)
    return [
        (random.random((BATCH, side, side, c)), random.random((3, 3, c, c)) - 0.5)
        for side, c in SHAPES
    ]


def _on_tensorflow(precision: Precision) -> Callable[[], Any]:
    import tensorflow as tf

    pairs = [tuple(tf.constant(array, precision) for array in pair) for pair in _arrays()]

    def gradients() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(pairs)
            outputs = [tf.nn.conv2d(maps, kernel, 1, "SAME") for maps, kernel in pairs]
        return outputs, tape.gradient(outputs, pairs, output_gradients=outputs)

    work = tf.function(gradients, autograph=False)
    return lambda: work()


def _on_jax(precision: Precision) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    pairs = jax.tree.map(lambda array: jnp.asarray(array, precision), _arrays())

    def convolved(pairs: Any) -> list[Any]:
        layout = ("NHWC", "HWIO", "NHWC")
        return [
            jax.lax.conv_general_dilated(maps, kernel, (1, 1), "SAME", dimension_numbers=layout)
            for maps, kernel in pairs
        ]

    def gradients(pairs: Any) -> Any:
        outputs, gradients_of = jax.vjp(convolved, pairs)
        return outputs, gradients_of(outputs)

    work = jax.jit(gradients)
    return lambda: jax.block_until_ready(work(pairs))
