"""The versions of a registered model for a reader: a table, or JSON lines."""

import json
from collections.abc import Sequence
from pathlib import Path

from resnet.evaluation.metrics import METRICS
from resnet.pages.text_table import aligned
from resnet.registry import store
from resnet.registry.ledger.event import second
from resnet.registry.overview import records
from resnet.registry.overview.records import VersionRecord

SHOWN = 3  # differences in a row of the table; `resnet diff` shows all


def as_table(root: Path, name: str) -> str:
    """One row per version: aliases, accuracy, when, and what differs from production.

    Without a version in production each is compared with the one before it. Raises PipelineError if
    there is no such model.
    """
    versions = records.read(store.client(root), name)
    if not versions:
        return f"{name} has no versions"
    production = records.in_production(versions)
    base = f"VERSION {production.version.number}" if production else "THE ONE BEFORE"
    heading = ("VERSION", "ALIASES", "ACCURACY", "REGISTERED (UTC)", f"DIFFERS FROM {base} IN")
    return "\n".join(aligned([heading, *map(_row, versions, _bases(versions))]))


def as_json_lines(root: Path, name: str) -> str:
    """One line per version. Raises as `as_table` does."""
    versions = records.read(store.client(root), name)
    return "\n".join(map(_json, versions, _bases(versions)))


def _bases(versions: Sequence[VersionRecord]) -> list[VersionRecord | None]:
    """What each is compared with."""
    production = records.in_production(versions)
    if production:
        return [None if one is production else production for one in versions]
    return [None, *versions[:-1]]


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
