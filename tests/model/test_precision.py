"""Which precision a machine takes where the parameters leave it to the machine."""

from collections.abc import Callable
from typing import Any

import pytest

from resnet.model import backend, precision

CPU = backend.Device("tensorflow", "cpu", "a processor")
GPU = backend.Device("jax", "gpu", "a GPU")


def not_asked() -> Any:
    raise AssertionError("it was measured")


def took(float32: float, bfloat16: float) -> Callable[[], tuple[float, float]]:
    return lambda: (float32, bfloat16)


@pytest.mark.parametrize("flags", [(), ("avx2",), ("avx512f", "avx512_vnni", "amx_int8")])
def test_a_cpu_without_instructions_for_bfloat16_takes_float32_and_measures_nothing(
    flags: tuple[str, ...],
) -> None:
    choice = precision.on_cpu(flags, not_asked)
    assert (choice.precision, "no instructions" in choice.reason) == ("float32", True)


@pytest.mark.parametrize("flag", ["amx_bf16", "avx512_bf16"])
def test_a_cpu_with_instructions_takes_bfloat16_only_where_that_is_clearly_faster(
    flag: str,
) -> None:
    taken = [precision.on_cpu([flag, "avx2"], took(2.0, k)).precision for k in (0.6, 1.6, 1.7, 3.0)]
    assert taken == ["bfloat16", "bfloat16", "float32", "float32"]
    assert precision.on_cpu([flag], took(2.0, 0.6)).reason.endswith("0.30 of the time of float32")


def test_a_gpu_and_several_processes_take_float32_whatever_the_cpu_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backend, "cpu_flags", not_asked)
    several = backend.Device("jax", "cpu", "a processor", process=1, processes=2)
    assert precision.choose(GPU).precision == "float32"
    assert precision.choose(several, ["bfloat16"]).precision == "float32"


def test_what_has_begun_goes_on_in_its_precision_and_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backend, "cpu_flags", not_asked)
    assert precision.choose(CPU, ["bfloat16"]).precision == "bfloat16"
    assert precision.choose(CPU, ["float32"]).precision == "float32"


def test_convolutions_are_timed_in_both_precisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones, as bfloat16 is slow without instructions; tests/training/engines has JAX's."""
    monkeypatch.setattr(precision, "SHAPES", ((8, 4),))
    float32, bfloat16 = precision.measure("tensorflow")
    assert float32 > 0
    assert bfloat16 > 0
