"""How many cores this process may use."""

import os

import psutil


def available() -> int:
    """Those on which this process may run: a container or `taskset` may leave it a few."""
    if hasattr(os, "sched_getaffinity"):  # as Linux has it
        return len(os.sched_getaffinity(0))
    return psutil.cpu_count() or 1
