"""`make bench`: measure every row of goals.py, in this checkout, and print the table.

Each row is appended to a file of JSON lines as soon as it is measured, so an interrupted benchmark
keeps its rows. A missed goal is no error; a row that fails is one, and the others are measured.
"""

import argparse
import json
import platform
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from benchmarks import cpu_kind, goals, peer
from benchmarks.rounds import ROUNDS, NotMeasuredError
from benchmarks.table import WORDS, Kind, Result, Row, Setting, markdown
from resnet.checkout import git, project
from resnet.model import backend

PEERS = ("torch", "openvino")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", nargs="+", metavar="ROW", type=_row, help="measure these; see --list"
    )
    parser.add_argument("--list", action="store_true", help="list the rows, and measure none")
    parser.add_argument(
        "--table", action="store_true", help="print the last result of each row, and measure none"
    )
    parser.add_argument("--out", type=Path, default=Path(".state/benchmarks.jsonl"))
    parser.add_argument("--peer", type=Path, default=Path(".state/torch/bin/python"))
    arguments = parser.parse_args()
    if arguments.list:
        print(listing())
        return 0
    setting = Setting(project.find_root(), arguments.peer.absolute(), cpu_kind.here())
    machine = about(setting)
    if arguments.table:
        lines = last(arguments.out, machine["machine"])
        failed = False
    else:
        lines = list(measure_and_write(arguments.only, setting, machine, arguments.out))
        failed = any(line["failed"] for line in lines)
    print(
        f"{machine['machine']}, {WORDS[setting.kind]}; commit {machine['commit'][:7]}; "
        f"{', '.join(f'{name} {number}' for name, number in machine['versions'].items())}; best "
        f"of {ROUNDS} rounds in turn\n\n{markdown(lines)}"
    )
    return 1 if failed else 0


def every_row() -> list[Row]:
    return [*goals.ROWS, *goals.EARLIER_ROWS]


def listing() -> str:
    """The names of the rows, with their work, and which are measured by name only."""
    rows = every_row()
    width = max(len(row.name) for row in rows)
    return "\n".join(
        f"{row.name:{width}}  {row.work}, against {row.against}"
        + (f" (by name: {row.by_name})" if row.by_name else "")
        for row in rows
    )


def measure_and_write(
    names: Sequence[str] | None, setting: Setting, machine: Mapping[str, Any], out: Path
) -> Iterator[dict[str, Any]]:
    """The results as JSON; each is appended to `out` at once."""
    out.parent.mkdir(parents=True, exist_ok=True)
    for result in results(names, setting):
        line = {**machine, "time": datetime.now(UTC).isoformat("T", "seconds"), **result.as_json()}
        with out.open("a") as stream:
            stream.write(json.dumps(line, allow_nan=False) + "\n")
        print(f"{line['row']}: {line['verdict']}", file=sys.stderr, flush=True)
        yield line


def results(names: Sequence[str] | None, setting: Setting) -> Iterator[Result]:
    """Those of the named rows, or of the rows of `goals.ROWS`.

    Without names a row is left out, with the reason, if it is measured by name only or has no goal
    on this kind of CPU.
    """
    rows = [row for row in every_row() if row.name in names] if names else goals.ROWS
    for measure, group in groupby(rows, key=lambda row: row.measure):
        chosen = list(group)
        if why := "" if names else _why_not(chosen[0], setting.kind):
            yield from (Result(row, setting.kind, why=why) for row in chosen)
            continue
        # With those measured together that come before the last, so that each gets its own.
        together = [row for row in every_row() if row.measure == measure]
        needed = together[: 1 + together.index(chosen[-1])]
        yield from (r for r in _measured(needed, setting) if r.row in chosen)


def _why_not(row: Row, kind: Kind) -> str:
    """Why a row that is not named is not measured; empty if it is."""
    if kind not in row.goals:
        return row.no_goal
    return row.by_name and f"{row.by_name}: `python -m benchmarks.run --only {row.name}`"


def _measured(rows: Sequence[Row], setting: Setting) -> Iterator[Result]:
    """Rows with the same `measure`. Those that it does not reach have the reason."""
    waiting = list(rows)
    why, failed = "it was not measured", True
    try:
        for measurement in islice(rows[0].measure(setting), len(rows)):
            yield Result(waiting.pop(0), setting.kind, measurement)
    except NotMeasuredError as error:
        why, failed = str(error), False
    except Exception as error:  # noqa: BLE001  (the other rows must not be lost)
        traceback.print_exc()
        why = f"{type(error).__name__}: {error}"
    for row in waiting:
        yield Result(row, setting.kind, why=why, failed=failed)


def about(setting: Setting) -> dict[str, Any]:
    """The machine, the code and the libraries."""
    libraries = {name: version(name) for name in ("tensorflow", "keras", "numpy")}
    peers = {name: peer.version(setting.torch, name) or "none" for name in PEERS}
    return {
        "machine": backend.cpu_name(),
        "system": platform.platform(),
        "commit": git.commit(setting.root) or "none",
        "versions": libraries | peers,
        "rounds": ROUNDS,
    }


def last(path: Path, machine: str) -> list[dict[str, Any]]:
    """The last result of each row that `path` has of a machine, in the order of the rows.

    That it was not measured in a later run is no result.
    """
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    newest: dict[str, dict[str, Any]] = {}
    for line in lines:
        is_result = line["failed"] or "figure" in line or line["row"] not in newest
        if line["machine"] == machine and is_result:
            newest[line["row"]] = line
    return [newest[row.name] for row in every_row() if row.name in newest]


def _row(name: str) -> str:
    names = [row.name for row in every_row()]
    if name not in names:
        raise argparse.ArgumentTypeError(f"no row {name!r}: choose from {', '.join(names)}")
    return name


if __name__ == "__main__":
    sys.exit(main())
