"""The kind of a CPU, as the goals name it: which instructions for bfloat16 it has."""

from collections.abc import Collection

from benchmarks.table import Kind
from resnet.model import backend


def here() -> Kind:
    """That of this machine."""
    return kind(backend.cpu_flags())


def kind(flags: Collection[str]) -> Kind:
    """That of a CPU with these flags of /proc/cpuinfo; an AMX CPU has AVX512_BF16 too."""
    if "amx_bf16" in flags:
        return "AMX"
    return "AVX512_BF16" if "avx512_bf16" in flags else "neither"
