"""What a ledger's events say about versions, some of which may be deleted by now."""

from collections.abc import Mapping, Sequence
from typing import Any

from resnet.registry.ledger.event import Event
from resnet.registry.versions import PRODUCTION


def last_move(history: Sequence[Event], alias: str = PRODUCTION) -> Event | None:
    """The last event that moved `alias`."""
    return next((event for event in reversed(history) if alias in event.moves), None)


def has_decided(history: Sequence[Event], version: int, key: str) -> bool:
    """Whether there is a decision about a version, so that no retraining asks the gate again.

    It is the gate's by these rules on these images (see `gate.decision_key`), which includes a
    request; or, whatever the rules, that of a person who took the version out of production.
    """
    return any(
        (event.version == version and event.evidence.get("key") == key)
        or (event.action in ("rollback", "found") and event.version_from == version)
        for event in history
    )


def last_decision(history: Sequence[Event], version: int) -> Event | None:
    """The last event about a version that has evidence: the gate's verdict."""
    decisions = [event for event in history if event.version == version and event.evidence]
    return decisions[-1] if decisions else None


def last_outcome(history: Sequence[Event], version: int) -> Event | None:
    """The last event that concerns a version (see `concerned`)."""
    return next((event for event in reversed(history) if version in concerned(event)), None)


def concerned(event: Event) -> set[int]:
    """The version that an event is about, and those that were in production before and after it.

    Not the former candidate: the event says nothing about it.
    """
    numbers = {event.version, event.version_from, event.version_to}
    return {number for number in numbers if number is not None}


def succession(history: Sequence[Event]) -> list[int]:
    """The versions in the order of their promotion, without those that were rolled back since."""
    stack: list[int] = []
    for event in history:
        number = event.version_to
        if number is None or (stack and stack[-1] == number):
            continue
        if event.action == "rollback" and number in stack:
            while stack[-1] != number:
                stack.pop()
        else:
            stack.append(number)
    return stack


def ever_in_production(history: Sequence[Event], now: int | None) -> set[int]:
    """The versions that ever were in production, including those that were rolled back."""
    promoted = {event.version_to for event in history}
    return {number for number in {*promoted, now} if number is not None}


def accuracies(history: Sequence[Event]) -> dict[int, dict[str, float]]:
    """The accuracy of each version that the gate judged or compared with.

    By version, then by the hash of the test images. An accuracy that was NaN is left out.
    """
    known: dict[int, dict[str, float]] = {}
    for verdict in _verdicts(history):
        judged = {verdict["version"]: verdict["metrics"]["accuracy"]}
        if verdict["comparison"]:
            judged[verdict["against"]] = verdict["comparison"]["production"]
        for version, accuracy in judged.items():
            if accuracy is not None:
                known.setdefault(version, {})[verdict["test_hash"]] = accuracy
    return known


def uses(history: Sequence[Event], test_hash: str) -> int:
    """How many decisions in the ledger were made with these test images."""
    counts = (
        verdict["uses"] for verdict in _verdicts(history) if verdict["test_hash"] == test_hash
    )
    return max(counts, default=0)


def _verdicts(history: Sequence[Event]) -> list[Mapping[str, Any]]:
    """The gate's verdicts, as `Verdict.as_dict` returned them."""
    return [event.evidence for event in history if "test_hash" in event.evidence]
