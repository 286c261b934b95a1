"""`make bench`: measure every row, print the table; as JSON, what is measured is written at once.

A new row: a module here with a function `rows(python)` that yields rows (see table.py), and its
name in GROUPS. `python` is the interpreter of PyTorch's environment.
"""

import argparse
import json
import platform
import sys
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import peer
from benchmarks.rounds import ROUNDS
from benchmarks.table import Missing, Row, markdown
from resnet.model import backend
from resnet.system import files

GROUPS = ("training", "scoring", "serving", "exactness", "pipeline")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    # Not by `choices`: Python 3.11 checks them where none is given, too.
    parser.add_argument("groups", nargs="*", type=_group, help=f"of {', '.join(GROUPS)}; else all")
    parser.add_argument("--out", type=Path, default=Path(".state/benchmarks.json"))
    parser.add_argument("--peer", type=Path, default=Path(".state/torch/bin/python"))
    chosen = parser.parse_args()
    device = backend.select("tensorflow", "cpu")
    versions = {name: version(name) for name in ("keras", "tensorflow", "numpy")}
    result: dict[str, Any] = {
        "machine": device.name,
        "system": platform.platform(),
        "versions": versions | {"torch": peer.version(chosen.peer)},
        "rounds": ROUNDS,
    }
    rows: list[Row | Missing] = []
    for name in chosen.groups or GROUPS:
        for row in measured(name, chosen.peer):
            print(f"{name}: {row}", file=sys.stderr, flush=True)
            rows.append(row)
            told = [asdict(one) | {"holds": getattr(one, "holds", None)} for one in rows]
            files.write_json(chosen.out, result | {"rows": told})
    print(f"{device.name}, {json.dumps(result['versions'])}; best of {ROUNDS} rounds in turn\n")
    print(markdown(rows))
    return 1 if any(isinstance(row, Missing) for row in rows) else 0


def _group(name: str) -> str:
    if name not in GROUPS:
        raise argparse.ArgumentTypeError(f"no group {name!r}: choose from {', '.join(GROUPS)}")
    return name


def measured(name: str, python: Path) -> Iterator[Row | Missing]:
    """The rows of a group. One that fails says so in its last row; the next one's turn comes."""
    try:
        # Only now: importing TensorFlow must wait until the backend is chosen.
        yield from import_module(f"benchmarks.{name}").rows(python)
    except Exception as error:  # noqa: BLE001  (what was measured before must not be lost with it)
        traceback.print_exc()
        yield Missing(name, f"it failed, {type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(main())
