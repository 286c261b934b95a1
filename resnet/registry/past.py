"""What the ledger's events tell the gate of versions, of which some may be deleted by now."""

from collections.abc import Mapping, Sequence
from typing import Any

from resnet.registry.event import Event


def in_production(history: Sequence[Event], now: int | None) -> set[int]:
    """The versions that ever were in production, those that were rolled back among them."""
    moved = {event.version_to for event in history}
    return {number for number in {*moved, now} if number is not None}


def accuracies(history: Sequence[Event]) -> dict[int, dict[str, float]]:
    """The accuracy of each version that the gate decided about, or compared one with.

    By version, then by the hash of the test images. What was no number is left out.
    """
    found: dict[int, dict[str, float]] = {}
    for evidence in _evidence(history):
        told = {evidence["version"]: evidence["metrics"]["accuracy"]}
        if evidence["comparison"]:
            told[evidence["against"]] = evidence["comparison"]["production"]
        for version, accuracy in told.items():
            if accuracy is not None:
                found.setdefault(version, {})[evidence["test_hash"]] = accuracy
    return found


def uses(history: Sequence[Event], test_hash: str) -> int:
    """How many decisions the ledger has that were made with these test images."""
    found = (one["uses"] for one in _evidence(history) if one["test_hash"] == test_hash)
    return max(found, default=0)


def _evidence(history: Sequence[Event]) -> list[Mapping[str, Any]]:
    """The gate's verdicts, as `Verdict.as_dict` gave them."""
    return [event.evidence for event in history if "test_hash" in event.evidence]
