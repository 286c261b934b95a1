"""One event of the ledger as a value, and as the tags of the MLflow run that keeps it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Self

from resnet.registry.versions import PRODUCTION

from mlflow.entities import Run

Action = Literal[
    "promote", "rollback", "refuse", "restore", "found", "request", "approve", "reject"
]
Moves = Mapping[str, tuple[int | None, int | None]]
"""Alias → the version that it names before and after; None where it names nothing."""

TAG_LENGTH = 5000  # MLflow cuts what is longer than 8000 characters, older servers than 5000


def stamp(moment: datetime) -> str:
    """As the ledger writes times, ISO 8601 in UTC: their order is that of their texts."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Event:
    """What happened to a version of a registered model; immutable once it is in the chain."""

    action: Action
    model: str
    version: int | None  # that it is about; None where production was found to name nothing
    moves: Moves
    who: str  # user@host
    reason: str
    flow_run: str | None = None  # Prefect's id
    forced: bool = False  # against the gate
    evidence: Mapping[str, Any] = field(default_factory=dict)  # of the gate, as JSON
    request: str | None = None  # the id of the event that this one answers
    expires: str | None = None  # until when a request waits: ISO 8601, UTC
    id: str = ""  # of the MLflow run
    time: str = ""  # at which it was begun: ISO 8601, UTC
    # Its place in the chain, once it is finished.
    index: int | None = None  # 0, 1, …
    previous: str | None = None  # hash of the event before
    hash: str | None = None  # see `digest`

    @property
    def version_from(self) -> int | None:
        """In production before, where this moved production."""
        return self.moves.get(PRODUCTION, (None, None))[0]

    @property
    def version_to(self) -> int | None:
        """In production after, where this moved production."""
        return self.moves.get(PRODUCTION, (None, None))[1]

    @property
    def versions(self) -> frozenset[int]:
        """Every version that it names."""
        named = {self.version, *(number for move in self.moves.values() for number in move)}
        return frozenset(number for number in named if number is not None)

    def digest(self) -> str:
        """SHA-256, hex, of the canonical JSON of all but the hash itself."""
        content = asdict(self)
        del content["hash"]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def as_json(self, **derived: Any) -> str:
        """One line, with what follows from `moves` about production, and what else is `derived`."""
        first = {"index": self.index, "time": self.time}
        moved = {"version_from": self.version_from, "version_to": self.version_to}
        return json.dumps(first | asdict(self) | moved | derived)

    def __str__(self) -> str:
        """A sentence about it, such as `promote 5, production 3 → 5, by ann@host: better`."""
        about = f"{self.action} {self.version}" if self.version else self.action
        forced = " (forced)" if self.forced else ""
        moves = "".join(
            f", {alias} {before or 'none'} → {after or 'none'}"
            for alias, (before, after) in self.moves.items()
        )
        return f"{about}{forced}{moves}, by {self.who}: {self.reason}"

    def tags(self) -> dict[str, str]:
        """As tags of its run: text as it is, the rest as JSON, what is long in several."""
        content = asdict(self)
        del content["id"]
        texts = {
            name: value if isinstance(value, str) else json.dumps(value, allow_nan=False)
            for name, value in content.items()
            if value is not None
        }
        return {
            name if not start else f"{name}.{start // TAG_LENGTH}": text[start : start + TAG_LENGTH]
            for name, text in texts.items()
            for start in range(0, len(text) or 1, TAG_LENGTH)
        }

    @classmethod
    def of(cls, run: Run) -> Self:
        """From the MLflow run that keeps it. Raises ValueError where its tags are no event's."""
        tags = run.data.tags
        values: dict[str, Any] = {"id": run.info.run_id, "version": None}
        try:
            for name in cls.__dataclass_fields__:
                if name in tags:
                    text = _joined(tags, name)
                    values[name] = json.loads(text) if name in _JSON else text
            moves = values["moves"].items()
            return cls(**{**values, "moves": {alias: (old, new) for alias, (old, new) in moves}})
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(
                f"run {run.info.run_id} holds no event that can be read ({error!r}): its tags were "
                "edited"
            ) from error


_JSON = {"version", "moves", "forced", "evidence", "index"}  # the others are text


def _joined(tags: Mapping[str, str], name: str) -> str:
    """A text that may be in several tags."""
    parts = [tags[name]]
    while (part := tags.get(f"{name}.{len(parts)}")) is not None:
        parts.append(part)
    return "".join(parts)
