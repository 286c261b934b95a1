"""The packages that are installed, and how they differ from those of a list or a lock."""

import importlib.metadata
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packaging.utils import canonicalize_name

PROJECT = "resnet-pipeline"  # its code is recorded as a commit, not as a version
PIN = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?P<marker>[ ]*;)?", re.MULTILINE)

Pins = Mapping[str, frozenset[str]]
"""The versions of each package, by its normalised name."""


def listed() -> str:
    """Every installed distribution, as lines of a requirements file."""
    # Every access to a distribution's metadata parses all of it.
    metadata = (distribution.metadata for distribution in importlib.metadata.distributions())
    return "\n".join(sorted({f"{one['Name']}=={one['Version']}" for one in metadata})) + "\n"


def pins(text: str) -> Pins:
    """What the requirements file `text` pins; this project is left out.

    A lock may pin several versions of a package, for several Pythons.
    """
    versions: dict[str, set[str]] = {}
    for pin in PIN.finditer(text):
        versions.setdefault(canonicalize_name(pin["name"]), set()).add(pin["version"])
    versions.pop(PROJECT, None)
    return {name: frozenset(pinned) for name, pinned in versions.items()}


def missing(wanted: Pins, installed: Pins) -> list[str]:
    """Each package of `wanted` that is installed in none of its versions, in words."""
    return [
        f"{name} {_text(installed.get(name))}, not {_text(versions)}"
        for name, versions in wanted.items()
        if not versions & installed.get(name, frozenset())
    ]


@dataclass(frozen=True)
class LockComparison:
    """Installed packages beside a lock, by names and versions.

    A lock is for many Pythons and platforms. Whether a marker held where the packages were
    installed is not known, so a package that is pinned with one may be absent.
    """

    matching: Sequence[str]  # the packages that are installed in a pinned version
    wrong: Sequence[str]  # in words: installed in another version, or absent
    undecided: Sequence[str]  # absent, and pinned with a marker
    unpinned: Sequence[str]  # installed, and not in the lock

    @property
    def distance(self) -> tuple[int, int, int]:
        """How far the installed packages are from the lock: the least is the nearest."""
        return len(self.wrong), len(self.unpinned), len(self.undecided)


def compare(lock: str, installed: Pins) -> LockComparison:
    """Compare the packages `installed` with the text of a lock."""
    pinned = pins(lock)
    with_marker = {canonicalize_name(pin["name"]) for pin in PIN.finditer(lock) if pin["marker"]}
    undecided = sorted(with_marker & (pinned.keys() - installed.keys()))
    wrong = missing({name: pinned[name] for name in pinned if name not in undecided}, installed)
    matching = [name for name in pinned if pinned[name] & installed.get(name, frozenset())]
    return LockComparison(matching, wrong, undecided, sorted(installed.keys() - pinned.keys()))


def _text(versions: frozenset[str] | None) -> str:
    return " or ".join(sorted(versions)) if versions else "none"
