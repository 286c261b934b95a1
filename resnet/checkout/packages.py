"""The packages that are installed, and how they differ from those of a list or a lock."""

import importlib.metadata
import platform
import re
from collections.abc import Mapping

from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName, default_environment
from packaging.utils import canonicalize_name

PROJECT = "resnet-pipeline"  # its code is recorded as a commit, not as a version
PIN = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?:[ ]*;(?P<marker>[^\n\\]*))?", re.MULTILINE
)
# How `platform.platform()` begins, and what it says of the machine.
SYSTEMS = {
    "Linux": {"sys_platform": "linux", "platform_system": "Linux"},
    "macOS": {"sys_platform": "darwin", "platform_system": "Darwin"},
}
MACHINES = {"x86_64", "aarch64", "arm64"}

Pins = Mapping[str, frozenset[str]]
"""The versions of each package; a lock may have several, for several Pythons."""


def listed() -> str:
    """Every installed distribution, as lines of a requirements file."""
    # Each look at a distribution's metadata parses the whole of it.
    found = (one.metadata for one in importlib.metadata.distributions())
    return "\n".join(sorted({f"{one['Name']}=={one['Version']}" for one in found})) + "\n"


def pins(text: str, where: Mapping[str, str] | None = None) -> Pins:
    """What the requirements file `text` pins, by normalised names; this project is left out.

    A lock may be for many Pythons and platforms: with `where`, the values of markers that `place`
    gives, only what it pins for that one.
    """
    found: dict[str, set[str]] = {}
    for pin in PIN.finditer(text):
        if where is None or _is_for(where, pin["marker"]):
            found.setdefault(canonicalize_name(pin["name"]), set()).add(pin["version"])
    found.pop(PROJECT, None)
    return {name: frozenset(versions) for name, versions in found.items()}


def place(python: str, system: str) -> dict[str, str]:
    """The values of markers on another machine, by its Python and its `platform.platform()`.

    What these two do not tell is as here.
    """
    name, *words = system.split("-")
    here = {key: str(value) for key, value in default_environment().items()}
    return {
        **here,
        **SYSTEMS.get(name, {}),
        "platform_machine": next((word for word in words if word in MACHINES), platform.machine()),
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
    }


def missing(wanted: Pins, found: Pins) -> list[str]:
    """Each package of `wanted` that `found` has in no such version: `numpy 2.1.0, not 2.0.0`."""
    return [
        f"{name} {_text(found.get(name))}, not {_text(versions)}"
        for name, versions in wanted.items()
        if not versions & found.get(name, frozenset())
    ]


def _is_for(where: Mapping[str, str], marker: str | None) -> bool:
    """Whether a marker holds there; one that cannot be evaluated asks for nothing."""
    try:
        return not marker or Marker(marker.strip()).evaluate(dict(where))
    except (InvalidMarker, UndefinedEnvironmentName):
        return False


def _text(versions: frozenset[str] | None) -> str:
    return " or ".join(sorted(versions)) if versions else "none"
