"""Requests for approval: what the ledger's events and the clock say of them.

No process has to run for a request to expire: past its time every reader counts it as rejected.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from resnet.errors import PipelineError
from resnet.registry.gate.verdict import Verdict
from resnet.registry.ledger.event import Event, stamp
from resnet.registry.versions import Version

State = Literal["open", "approved", "rejected", "expired", "replaced"]


@dataclass(frozen=True)
class Request:
    """That a version may go into production, asked of a person; and what became of it so far."""

    event: Event  # that made it; its evidence is the gate's verdict
    state: State
    answer: Event | None  # None where it is open or expired

    @property
    def waits(self) -> bool:
        return self.state == "open"

    @property
    def verdict(self) -> Verdict:
        """What the gate said when it was made. Raises PipelineError where it cannot be read."""
        return Verdict.from_dict(self.event.evidence)

    @property
    def key(self) -> str:
        """What that was made from: see `gate.decision_key`."""
        return str(self.event.evidence.get("key", ""))

    def commands(self) -> list[str]:
        """What answers it, typed in a shell."""
        about = f"{self.event.version} --model {self.event.model}"
        return [f'resnet {answer} {about} --reason "…"' for answer in ("approve", "reject")]

    def __str__(self) -> str:
        about = f"{self.event.model} version {self.event.version}"
        expires = _minute(self.event.expires or "")
        if self.waits:
            since = _minute(self.event.time)
            return f"{about} is awaiting approval since {since}, until {expires} UTC"
        if self.answer is None:
            return (
                f"the request to approve {about} expired on {expires} UTC without an answer, and "
                "counts as rejected"
            )
        answered = _minute(self.answer.time)
        return f"the request to approve {about} was {self.state} on {answered} UTC: {self.answer}"


def requests(history: Sequence[Event], now: datetime) -> list[Request]:
    """Every request of a ledger's events, in order, as it stands at `now`."""
    return [
        _request(event, history[place + 1 :], now)
        for place, event in enumerate(history)
        if event.action == "request"
    ]


def newest(history: Sequence[Event], version: int, now: datetime) -> Request | None:
    """The last request about a version: the only one that can be open, for it replaced others."""
    found = [one for one in requests(history, now) if one.event.version == version]
    return found[-1] if found else None


def waiting(
    history: Sequence[Event], version: Version, now: datetime, wanted: str | None = None
) -> Request:
    """The open request about a version; where it is `wanted`, the one of that id.

    Raises PipelineError where it does not wait, with who answered it and when.
    """
    about = [one for one in requests(history, now) if one.event.version == version.number]
    found = [one for one in about if wanted in (None, one.event.id)]
    if found and found[-1].waits:
        return found[-1]
    why = f"{found[-1]}" if found else f"nobody has asked for {version} to be approved"
    raise PipelineError(
        f"{why}: there is nothing to answer. 'resnet history' shows what waits; "
        f"'resnet promote {version.number} --reason …' promotes without a request"
    )


def _request(event: Event, later: Sequence[Event], now: datetime) -> Request:
    """`later` are the events after it, of which the first that answers it counts."""
    answer = next((one for one in later if _answers(one, event)), None)
    if answer is None:
        return Request(event, "open" if stamp(now) < (event.expires or "") else "expired", None)
    if answer.version_to == event.version:
        return Request(event, "approved", answer)
    return Request(event, "replaced" if answer.action == "request" else "rejected", answer)


def _answers(event: Event, request: Event) -> bool:
    """By its word, or since it brought the version into production on another way, in time."""
    moved = event.version_to is not None and event.version_to == request.version
    return event.request == request.id or (moved and event.time < (request.expires or ""))


def _minute(time: str) -> str:
    """A time of the ledger for a reader, to the minute."""
    return time[:16].replace("T", " ")
