"""What a ledger's events say about versions, some of which may be deleted by now."""

from collections.abc import Sequence

from resnet.registry.ledger.event import Event
from resnet.registry.versions import PRODUCTION, VersionId


def identity(history: Sequence[Event], index: int, number: int) -> VersionId:
    """The version of that number that the event `history[index]` names.

    An event of an earlier release does not say the model hash of each: it is then the one that was
    known last of that number, if any was.
    """
    said = (history[k].model_hash_of(number) for k in range(index, -1, -1))
    return VersionId(number, next((text for text in said if text is not None), None))


def last_move(history: Sequence[Event], alias: str = PRODUCTION) -> Event | None:
    """The last event that moved `alias`."""
    return next((event for event in reversed(history) if alias in event.moves), None)


def named_by(history: Sequence[Event], alias: str = PRODUCTION) -> VersionId | None:
    """The version that `alias` names after the last event; None if none."""
    for index in range(len(history) - 1, -1, -1):
        if alias in history[index].moves:
            number = history[index].moves[alias][1]
            return None if number is None else identity(history, index, number)
    return None


def has_decided(history: Sequence[Event], version: VersionId, key: str) -> bool:
    """Whether there is a decision about a version, so that no retraining asks the gate again.

    It is the gate's by these rules on these images (see `gate.decision_key`), which includes a
    request; or, whatever the rules, that of a person who took the version out of production.
    """
    return any(
        (event.version == version.number and event.evidence.get("key") == key)
        or (event.action in ("rollback", "found") and event.version_from == version.number)
        for event in _concerning(history, version)
    )


def last_decision(history: Sequence[Event], version: VersionId) -> Event | None:
    """The last event about a version that has evidence: the gate's verdict."""
    decisions = [
        event
        for event in _concerning(history, version)
        if event.version == version.number and event.evidence
    ]
    return decisions[-1] if decisions else None


def last_outcome(history: Sequence[Event], version: VersionId) -> Event | None:
    """The last event that concerns a version (see `concerned`)."""
    events = _concerning(history, version)
    return events[-1] if events else None


def concerned(event: Event) -> set[int]:
    """The version that an event is about, and those that were in production before and after it.

    Not the former candidate: the event says nothing about it.
    """
    return {number for number in _numbers(event) if number is not None}


def succession(history: Sequence[Event]) -> list[VersionId]:
    """The versions in the order of their promotion, without those that were rolled back since."""
    stack: list[VersionId] = []
    for index, event in enumerate(history):
        if event.version_to is None:
            continue
        version = identity(history, index, event.version_to)
        if stack and stack[-1].is_same(version):
            continue
        if event.action == "rollback" and any(one.is_same(version) for one in stack):
            while not stack[-1].is_same(version):
                stack.pop()
        else:
            stack.append(version)
    return stack


def ever_in_production(history: Sequence[Event], now: VersionId | None = None) -> set[VersionId]:
    """The versions that ever were in production, including those that were rolled back."""
    promoted = {
        identity(history, index, event.version_to)
        for index, event in enumerate(history)
        if event.version_to is not None
    }
    if now is None or any(one.is_same(now) for one in promoted):
        return promoted
    return promoted | {now}


def accuracies(history: Sequence[Event]) -> dict[VersionId, dict[str, float]]:
    """The accuracy of each version that the gate judged or compared with.

    By version, then by the hash of the test samples. An accuracy that was NaN is left out.
    """
    known: dict[VersionId, dict[str, float]] = {}
    for index, event in enumerate(history):
        if judgement := event.judgement:
            for number, accuracy in judgement.accuracies():
                of_version = known.setdefault(identity(history, index, number), {})
                of_version[judgement.test_hash] = accuracy
    return known


def uses(history: Sequence[Event], test_hash: str) -> int:
    """How many decisions in the ledger were made with these test samples."""
    judgements = filter(None, (event.judgement for event in history))
    return max((one.uses for one in judgements if one.test_hash == test_hash), default=0)


def _concerning(history: Sequence[Event], version: VersionId) -> list[Event]:
    """The events that concern the version: this number, and not another model of that number."""
    number = version.number
    return [
        event
        for index, event in enumerate(history)
        if number in _numbers(event) and identity(history, index, number).is_same(version)
    ]


def _numbers(event: Event) -> tuple[int | None, ...]:
    """See `concerned`; None where there is none."""
    return event.version, *event.moves.get(PRODUCTION, ())
