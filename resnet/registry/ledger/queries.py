"""What a ledger's events tell of versions, of which some may be deleted by now."""

from collections.abc import Mapping, Sequence
from typing import Any

from resnet.registry.ledger.event import Event
from resnet.registry.versions import PRODUCTION


def last_move(history: Sequence[Event], alias: str = PRODUCTION) -> Event | None:
    """The event that moved production, or another alias, last."""
    return next((event for event in reversed(history) if alias in event.moves), None)


def has_decided(history: Sequence[Event], version: int, key: str) -> bool:
    """Whether there is a decision about a version, after which no retraining asks again.

    That is one of the gate by these rules on these images (see `gate.decision_key`), and a request
    is one; or, whatever the rules, one of a person who took the version out of production.
    """
    return any(
        (event.version == version and event.evidence.get("key") == key)
        or (event.action in ("rollback", "found") and event.version_from == version)
        for event in history
    )


def last_decision(history: Sequence[Event], version: int) -> Event | None:
    """The last event about a version that has evidence: what the gate said."""
    about = [event for event in history if event.version == version and event.evidence]
    return about[-1] if about else None


def last_outcome(history: Sequence[Event], version: int) -> Event | None:
    """The last event that concerns a version (see `concerned`): what became of it."""
    return next((event for event in reversed(history) if version in concerned(event)), None)


def concerned(event: Event) -> set[int]:
    """The version that an event is about, and those that it took out of production and put there.

    Not one that `candidate` named before: it is as good as it was.
    """
    named = {event.version, event.version_from, event.version_to}
    return {number for number in named if number is not None}


def succession(history: Sequence[Event]) -> list[int]:
    """Versions as they came into production, those that were rolled back taken off again."""
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
