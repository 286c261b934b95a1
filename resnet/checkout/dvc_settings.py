"""DVC's settings in a checkout, asked of DVC; and settings for a tree that shares some of them.

DVC merges four files, two of which lie outside of the checkout, and reads a relative path from the
folder of its file: so `dvc config` is asked, once per process and checkout.
"""

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from resnet.checkout import dvc

NAMED = ("remote", "db", "machine")  # sections of which there are several, each with a name

Sections = Mapping[str, Mapping[str, str]]
"""The values of the options of each section, by the section's header as in DVC's files."""


@cache
def read(root: Path) -> Sections:
    """The settings that are in force in the checkout at `root`; paths are absolute.

    Raises DvcError where DVC cannot read its own files.
    """
    sections: dict[str, dict[str, str]] = {}
    for line in dvc.run("settings", ["config", "--list"], root, 0, dvc.waiting_only):
        key, equals, value = line.partition("=")
        section, *name, option = key.split(".")
        if not equals or (bool(name) != (section in NAMED)):
            continue  # a warning, and no setting
        header = f"'{section} \"{'.'.join(name)}\"'" if name else section
        sections.setdefault(header, {})[option] = _text(value)
    return sections


def cache_folder(root: Path) -> Path:
    """The cache that the checkout at `root` uses; it need not be there yet."""
    named = read(root).get("cache", {}).get("dir")
    return Path(named or _own_cache(root)).resolve()


def shares_cache(root: Path) -> bool:
    """Whether other projects may use the cache: it lies outside of the checkout's .dvc folder."""
    return cache_folder(root) != _own_cache(root).absolute()


def write(tree: Path, sections: Sections) -> None:
    """Make them the settings of `tree`; they take precedence over all others there."""
    path = tree / ".dvc" / "config.local"
    path.parent.mkdir(exist_ok=True)
    lines = [
        line
        for header, options in sections.items()
        for line in (f"[{header}]", *(f"    {name} = {_quoted(options[name])}" for name in options))
    ]
    path.write_text("\n".join(lines) + "\n")


def _own_cache(root: Path) -> Path:
    return root / ".dvc" / "cache"


def _text(value: str) -> str:
    """A value as it stands in a file: DVC prints one with commas as a list of Python."""
    try:
        parts = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
    return ", ".join(map(str, parts)) if isinstance(parts, list) else value


def _quoted(value: str) -> str:
    quote = "'" if '"' in value else '"'
    return f"{quote}{value}{quote}"
