"""The versions of a registered model for a reader: a table, or JSON lines."""

import json
from collections.abc import Sequence
from itertools import starmap
from pathlib import Path

from resnet.evaluation.metrics import METRICS
from resnet.pages.text_table import aligned, with_omission
from resnet.registry import store
from resnet.registry.ledger.event import second
from resnet.registry.overview import records
from resnet.registry.overview.records import VersionRecord

SHOWN = 3  # differences in a row of the table; `resnet diff` shows all


def as_table(root: Path, name: str, last: int | None = None) -> str:
    """One row per version: aliases, accuracy, when, and what differs from production.

    With `last` only so many of the last versions, and the one in production. Without a version in
    production each is compared with the one before it. Raises PipelineError if there is no such
    model.
    """
    versions, are_all = _compared(root, name, last)
    if not versions:
        return f"{name} has no versions"
    production = records.in_production([version for version, _ in versions])
    base = f"VERSION {production.version.number}" if production else "THE ONE BEFORE"
    heading = ("VERSION", "ALIASES", "ACCURACY", "REGISTERED (UTC)", f"DIFFERS FROM {base} IN")
    lines = aligned([heading, *starmap(_row, versions)])
    return "\n".join(lines if are_all else with_omission(lines, "earlier versions"))


def as_json_lines(root: Path, name: str, last: int | None = None) -> str:
    """One line per version, with `last` of as many as `as_table` has. Raises as that does."""
    versions, _ = _compared(root, name, last)
    return "\n".join(starmap(_json, versions))


def _compared(
    root: Path, name: str, last: int | None
) -> tuple[list[tuple[VersionRecord, VersionRecord | None]], bool]:
    """The versions to show, each with what it is compared with, and whether these are all.

    Two more are read: the first may be compared with the one before it, and of the two at most one
    is production, so that one tells that there are more.
    """
    versions = records.read(store.client(root), name, last and last + 2)
    production = records.in_production(versions)
    if production:
        bases = [None if one is production else production for one in versions]
    else:
        bases = [None, *versions[:-1]]
    first = len(versions) - (last or len(versions))
    shown = [
        (version, base)
        for index, (version, base) in enumerate(zip(versions, bases, strict=True))
        if index >= first or version is production
    ]
    return shown, len(shown) == len(versions)


def _row(record: VersionRecord, base: VersionRecord | None) -> tuple[str, ...]:
    return (
        str(record.version.number),
        ", ".join(record.version.aliases) or "–",
        METRICS["accuracy"].text(record.accuracy),
        second(record.registered),
        _in_short(record.differences(base)) if base else "–",
    )


def _in_short(differences: Sequence[str]) -> str:
    more = len(differences) - SHOWN
    shown = "; ".join(differences[:SHOWN])
    return f"{shown}; and {more} more" if more > 0 else shown or "nothing that is recorded"


def _json(record: VersionRecord, base: VersionRecord | None) -> str:
    version = record.version
    return json.dumps(
        {
            "model": version.name,
            "version": version.number,
            "aliases": version.aliases,
            "accuracy": record.accuracy,
            "registered": record.registered,
            "compared_with": base.version.number if base else None,
            "differences": record.differences(base) if base else [],
            "run": version.run_id,
            "parameters": dict(record.parameters),
            "tags": dict(record.tags),
        }
    )
