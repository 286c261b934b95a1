"""`make bench`: measure every row, print the table, write it as JSON.

A new row: a module here with a function `rows(python)` that yields rows (see table.py), and its
name in GROUPS. `python` is the interpreter of PyTorch's environment.
"""

import argparse
import json
import platform
import sys
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from benchmarks import peer
from benchmarks.rounds import ROUNDS
from benchmarks.table import Missing, Row, markdown
from resnet import backend, files

GROUPS = ("training", "scoring", "serving", "exactness", "pipeline")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", choices=GROUPS, default=GROUPS)
    parser.add_argument("--out", type=Path, default=Path(".state/benchmarks.json"))
    parser.add_argument("--peer", type=Path, default=Path(".state/torch/bin/python"))
    chosen = parser.parse_args()
    device = backend.select("tensorflow", "cpu")
    rows: list[Row | Missing] = []
    for name in chosen.groups:
        # Only now: importing TensorFlow must wait until the backend is chosen.
        for row in import_module(f"benchmarks.{name}").rows(chosen.peer):
            print(f"{name}: {row}", file=sys.stderr, flush=True)
            rows.append(row)
    versions = {name: version(name) for name in ("keras", "tensorflow", "numpy")}
    result = {
        "machine": device.name,
        "system": platform.platform(),
        "versions": versions | {"torch": peer.version(chosen.peer)},
        "rounds": ROUNDS,
        "rows": [asdict(row) | {"holds": getattr(row, "holds", None)} for row in rows],
    }
    files.write_json(chosen.out, result)
    print(f"{device.name}, {json.dumps(result['versions'])}; best of {ROUNDS} rounds in turn\n")
    print(markdown(rows))
    return 1 if any(isinstance(row, Missing) for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
