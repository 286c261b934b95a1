"""A ledger as a value: its events, and whether their chain is whole."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from resnet.registry.ledger import known_head
from resnet.registry.ledger.event import Event

HEAD = "head"  # tag of the experiment: the last event, see `Event.head`


@dataclass(frozen=True)
class Ledger:
    """A registered model's ledger at one moment."""

    events: list[Event]  # in the chain, in order
    unfinished: list[Event]  # begun: in progress, or their process was killed
    head: str | None  # None if there never was an event
    known: str | None = None  # the last head that this checkout knows of
    verified: int = field(default=0, compare=False)  # so many of the first events are known to be

    @property
    def broken(self) -> str | None:
        """The first place where the chain is broken, in words; None if it is intact."""
        return _first_break(self.events, self.verified) or _wrong_head(self.events, self.head)

    @property
    def missing(self) -> str | None:
        """What this checkout knows of and the ledger has not, in words; None if nothing.

        The chain may be intact: so is that of a store that was restored from an older backup.
        """
        missing = known_head.missing(self.events, self.known)
        return missing and (
            f"{missing}. The store was restored from an older backup or emptied, or is another "
            "one: restore the newer one, or go on with this one by 'resnet reconcile --accept "
            "--reason …'"
        )


def _first_break(history: Sequence[Event], verified: int) -> str | None:
    previous = history[verified - 1].hash if verified else None
    for index, event in list(enumerate(history))[verified:]:
        if event.index is None:
            return f"run {event.id} was finished by hand: no event's index is in its tags"
        if event.index != index:
            return f"event {index} is missing: its run was deleted"
        if event.digest() != event.hash:
            return f"event {index} (run {event.id}) is not what was written: its tags were edited"
        if event.previous != previous:
            return f"event {index} (run {event.id}) does not follow the event before it"
        previous = event.hash
    return None


def _wrong_head(history: Sequence[Event], head: str | None) -> str | None:
    """What is wrong with `head` if it does not name the last event."""
    expected = history[-1].head if history else None
    if head == expected:
        return None
    if head and head.rpartition(" ")[2] not in {event.id for event in history}:
        return f"event {head.partition(' ')[0]}, once the last, is missing: its run was deleted"
    return (
        f"the experiment's tag {HEAD} is {head!r} and not {expected!r}: it was edited, or a run "
        "was finished by hand"
    )
