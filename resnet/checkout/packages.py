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
# How `platform.platform()` begins, and the values of markers that follow from it.
SYSTEMS = {
    "Linux": {"sys_platform": "linux", "platform_system": "Linux"},
    "macOS": {"sys_platform": "darwin", "platform_system": "Darwin"},
}
MACHINES = {"x86_64", "aarch64", "arm64"}

Pins = Mapping[str, frozenset[str]]
"""The versions of each package, by its normalised name; a lock may have several."""


def listed() -> str:
    """Every installed distribution, as lines of a requirements file."""
    # Every access to a distribution's metadata parses all of it.
    metadata = (distribution.metadata for distribution in importlib.metadata.distributions())
    return "\n".join(sorted({f"{one['Name']}=={one['Version']}" for one in metadata})) + "\n"


def pins(text: str, markers: Mapping[str, str] | None = None) -> Pins:
    """What the requirements file `text` pins; this project is left out.

    A lock may be for many Pythons and platforms: with the values of `markers` that
    `environment_markers` gives, only what it pins for that one.
    """
    versions: dict[str, set[str]] = {}
    for pin in PIN.finditer(text):
        if markers is None or _applies(pin["marker"], markers):
            versions.setdefault(canonicalize_name(pin["name"]), set()).add(pin["version"])
    versions.pop(PROJECT, None)
    return {name: frozenset(pinned) for name, pinned in versions.items()}


def environment_markers(python: str, system: str) -> dict[str, str]:
    """The values of markers on another machine, from its Python and its `platform.platform()`.

    What these two do not say is as on this machine.
    """
    name, *parts = system.split("-")
    here = {key: str(value) for key, value in default_environment().items()}
    machine = next((part for part in parts if part in MACHINES), platform.machine())
    return {
        **here,
        **SYSTEMS.get(name, {}),
        "platform_machine": machine,
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
    }


def missing(wanted: Pins, installed: Pins) -> list[str]:
    """Each package of `wanted` that is installed in none of its versions, in words."""
    return [
        f"{name} {_text(installed.get(name))}, not {_text(versions)}"
        for name, versions in wanted.items()
        if not versions & installed.get(name, frozenset())
    ]


def _applies(marker: str | None, markers: Mapping[str, str]) -> bool:
    """Whether a pin's marker holds there; one that cannot be evaluated does not."""
    try:
        return not marker or Marker(marker.strip()).evaluate(dict(markers))
    except (InvalidMarker, UndefinedEnvironmentName):
        return False


def _text(versions: frozenset[str] | None) -> str:
    return " or ".join(sorted(versions)) if versions else "none"
