"""`make bench`: measure every row and print the table; each row is written as JSON at once.

To add rows: a module here with a function `rows(python)` that yields rows (see table.py), and its
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
from benchmarks.table import MissingRow, Row, markdown
from resnet.model import backend
from resnet.system import files

GROUPS = ("training", "scoring", "serving", "exactness", "pipeline")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    # Not by `choices`: Python 3.11 checks them even if no group is given.
    parser.add_argument(
        "groups", nargs="*", type=_group, help=f"of {', '.join(GROUPS)}; default: all"
    )
    parser.add_argument("--out", type=Path, default=Path(".state/benchmarks.json"))
    parser.add_argument("--peer", type=Path, default=Path(".state/torch/bin/python"))
    arguments = parser.parse_args()
    device = backend.select("tensorflow", "cpu")
    versions = {name: version(name) for name in ("keras", "tensorflow", "numpy")}
    report: dict[str, Any] = {
        "machine": device.name,
        "system": platform.platform(),
        "versions": versions | {"torch": peer.version(arguments.peer)},
        "rounds": ROUNDS,
    }
    rows: list[Row | MissingRow] = []
    for name in arguments.groups or GROUPS:
        for row in measure(name, arguments.peer):
            print(f"{name}: {row}", file=sys.stderr, flush=True)
            rows.append(row)
            as_json = [asdict(r) | {"holds": getattr(r, "holds", None)} for r in rows]
            files.write_json(arguments.out, report | {"rows": as_json})
    print(f"{device.name}, {json.dumps(report['versions'])}; best of {ROUNDS} rounds in turn\n")
    print(markdown(rows))
    return 1 if any(isinstance(row, MissingRow) for row in rows) else 0


def _group(name: str) -> str:
    if name not in GROUPS:
        raise argparse.ArgumentTypeError(f"no group {name!r}: choose from {', '.join(GROUPS)}")
    return name


def measure(name: str, python: Path) -> Iterator[Row | MissingRow]:
    """The rows of a group; if it fails, the last row says so, and the next group is measured."""
    try:
        # Imported only now: TensorFlow must be imported after the backend is selected.
        yield from import_module(f"benchmarks.{name}").rows(python)
    except Exception as error:  # noqa: BLE001  (rows measured before must not be lost)
        traceback.print_exc()
        yield MissingRow(name, f"it failed, {type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(main())
