"""The packages that are installed, and how they differ from those of a list or a lock."""

import importlib.metadata
import re
from collections.abc import Mapping

from packaging.utils import canonicalize_name

PROJECT = "resnet-pipeline"  # its code is recorded as a commit, not as a version
PIN = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)", re.MULTILINE)

Pins = Mapping[str, frozenset[str]]
"""The versions of each package; a lock may have several, for several Pythons."""


def listed() -> str:
    """Every installed distribution, as lines of a requirements file."""
    found = importlib.metadata.distributions()
    return "\n".join(sorted({f"{one.name}=={one.version}" for one in found})) + "\n"


def pins(text: str) -> Pins:
    """What the requirements file `text` pins, by normalised names; this project is left out."""
    found: dict[str, set[str]] = {}
    for pin in PIN.finditer(text):
        found.setdefault(canonicalize_name(pin["name"]), set()).add(pin["version"])
    found.pop(PROJECT, None)
    return {name: frozenset(versions) for name, versions in found.items()}


def missing(wanted: Pins, found: Pins) -> list[str]:
    """Each package of `wanted` that `found` has in no such version: `numpy 2.1.0, not 2.0.0`."""
    return [
        f"{name} {_text(found.get(name))}, not {_text(versions)}"
        for name, versions in wanted.items()
        if not versions & found.get(name, frozenset())
    ]


def shared(wanted: Pins, found: Pins) -> Pins:
    """The packages of `wanted` that `found` names too."""
    return {name: versions for name, versions in wanted.items() if name in found}


def _text(versions: frozenset[str] | None) -> str:
    return " or ".join(sorted(versions)) if versions else "none"
