"""Requests for approval, whose state follows from the ledger's events and the clock.

No process has to run for a request to expire: after its time every reader counts it as rejected.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from resnet.errors import PipelineError
from resnet.registry.gate.verdict import Verdict
from resnet.registry.ledger import queries
from resnet.registry.ledger.event import Event, from_iso, minute, utc_iso
from resnet.registry.versions import Version, VersionId

RequestState = Literal["open", "approved", "rejected", "expired", "replaced"]


@dataclass(frozen=True)
class Request:
    """A request that a person approve a version for production, and its state."""

    event: Event  # of the request; its evidence is the gate's verdict
    version: VersionId
    state: RequestState
    answer: Event | None  # None if it is open or expired

    @property
    def is_open(self) -> bool:
        return self.state == "open"

    @property
    def verdict(self) -> Verdict:
        """The gate's verdict at its time. Raises PipelineError if it cannot be read."""
        return Verdict.from_dict(self.event.evidence)

    @property
    def key(self) -> str:
        """The verdict's: see `gate.decision_key`."""
        return str(self.event.evidence.get("key", ""))

    def commands(self) -> list[str]:
        """The shell commands that answer it."""
        arguments = f'{self.event.version} --model {self.event.model} --reason "…"'
        return [f"resnet {answer} {arguments}" for answer in ("approve", "reject")]

    def answers(self) -> str:
        """Those commands, and that of the deployment, which has a form as well."""
        values = {
            "version": self.event.version,
            "model": self.event.model,
            "action": "approve",
            "reason": "…",
        }
        parameters = json.dumps(values, ensure_ascii=False)
        deployment = f"prefect deployment run promote/promote --params '{parameters}'"
        return "\n".join([*self.commands(), deployment])

    def __str__(self) -> str:
        about = f"{self.event.model} version {self.event.version}"
        expires = minute(self.event.expires or "")
        if self.is_open:
            since = minute(self.event.time)
            return f"{about} is awaiting approval since {since}, until {expires} UTC"
        if self.answer is None:
            return (
                f"the request to approve {about} expired on {expires} UTC without an answer, and "
                "counts as rejected"
            )
        answered = minute(self.answer.time)
        return f"the request to approve {about} was {self.state} on {answered} UTC: {self.answer}"


def requests(history: Sequence[Event], now: datetime) -> list[Request]:
    """Every request among a ledger's events, in order, with its state at `now`.

    Or at the time of the last event, where `now` is by a clock that is behind it.
    """
    now = max([now, *(from_iso(event.time) for event in history[-1:] if event.time)])
    return [
        _request(history, index, queries.identity(history, index, event.version), now)
        for index, event in enumerate(history)
        if event.action == "request" and event.version is not None
    ]


def latest(history: Sequence[Event], version: VersionId, now: datetime) -> Request | None:
    """The last request for a version: only this one can be open, as it replaced the others."""
    matches = [one for one in requests(history, now) if one.version.is_same(version)]
    return matches[-1] if matches else None


def require_open(
    history: Sequence[Event], version: Version, now: datetime, id: str | None = None
) -> Request:
    """The open request for a version; with `id` only the one whose event has that id.

    Raises PipelineError if it is not open, with who answered it and when.
    """
    matches = [
        request
        for request in requests(history, now)
        if request.version.is_same(version.id) and id in (None, request.event.id)
    ]
    if matches and matches[-1].is_open:
        return matches[-1]
    raise PipelineError(
        f"no open approval request for {version}{f': {matches[-1]}' if matches else ''}. "
        "'resnet history' lists the open requests; "
        f"'resnet promote {version.number} --reason …' promotes without a request"
    )


def _request(history: Sequence[Event], index: int, version: VersionId, now: datetime) -> Request:
    """The request `history[index]`, which is for that version; its first answer counts.

    An event answers it by naming it, or by bringing its version into production in another way
    before it expired.
    """
    event = history[index]
    expires = event.expires or ""
    for later in range(index + 1, len(history)):
        answer = history[later]
        promoted = answer.version_to == version.number and queries.identity(
            history, later, version.number
        ).is_same(version)
        if answer.request == event.id or (promoted and answer.time < expires):
            state: RequestState = (
                "approved" if promoted else "replaced" if answer.action == "request" else "rejected"
            )
            return Request(event, version, state, answer)
    return Request(event, version, "open" if utc_iso(now) < expires else "expired", None)
