"""An event of the ledger as a value, and as the tags of the MLflow run that stores it."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import ValidationError
from pydantic_core import from_json

from resnet.errors import PipelineError
from resnet.registry.ledger.judgement import Judgement
from resnet.registry.versions import PRODUCTION, VersionId

from mlflow.entities import Run

Action = Literal[
    "promote", "rollback", "refuse", "restore", "found", "request", "approve", "reject"
]
Moves = Mapping[str, tuple[int | None, int | None]]
"""Alias → the version that it names before and after; None if it names none."""

TAG_LENGTH = 5000  # MLflow cuts a tag after 8000 characters, older servers after 5000


def utc_iso(moment: datetime) -> str:
    """A time as the ledger writes it, ISO 8601 in UTC: such texts sort by time."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def from_iso(time: str) -> datetime:
    """The time that `utc_iso` wrote."""
    return datetime.fromisoformat(time)


def milliseconds(moment: datetime) -> int:
    """Since 1970: a time as MLflow wants it."""
    return int(moment.timestamp() * 1000)


def minute(time: str) -> str:
    """A time of the ledger for a reader, to the minute, in UTC: `2031-01-02 03:04`."""
    return second(time)[:16]


def second(time: str) -> str:
    """The same, to the second: `2031-01-02 03:04:05`."""
    return time[:19].replace("T", " ")


@dataclass(frozen=True)
class Event:
    """What happened to a version of a registered model; immutable once it is in the chain."""

    action: Action
    model: str
    version: int | None  # which it is about; None if production was found to name none
    moves: Moves
    who: str  # user@host
    reason: str
    flow_run: str | None = None  # Prefect's id
    forced: bool = False  # against the gate
    evidence: Mapping[str, Any] = field(default_factory=dict)  # the gate's verdict, as JSON
    request: str | None = None  # the id of the event that this one answers
    expires: str | None = None  # when an open request expires: ISO 8601, UTC
    model_hashes: Mapping[str, str] | None = None  # by number; None by an earlier release
    id: str = ""  # of the MLflow run
    time: str = ""  # when it was begun: ISO 8601, UTC
    # Its place in the chain, once it is finished.
    index: int | None = None  # 0, 1, …
    previous: str | None = None  # hash of the previous event
    hash: str | None = None  # see `digest`

    @property
    def version_from(self) -> int | None:
        """The version in production before, if this moved production."""
        return self.moves.get(PRODUCTION, (None, None))[0]

    @property
    def version_to(self) -> int | None:
        """The version in production after, if this moved production."""
        return self.moves.get(PRODUCTION, (None, None))[1]

    @cached_property
    def judgement(self) -> Judgement | None:
        """What the ledger is asked about the verdict in `evidence`; None if there is none.

        Raises PipelineError if it cannot be read.
        """
        try:
            if isinstance(self.evidence, LazyJson):
                return Judgement.model_validate_json(self.evidence.text)
            return Judgement.model_validate(dict(self.evidence))
        except ValidationError as error:
            if "test_hash" not in self.evidence:
                return None
            raise PipelineError(
                f"the gate's verdict in event {self.index} ({self}) cannot be read: {error}"
            ) from error

    @property
    def versions(self) -> frozenset[int]:
        """Every version that it names: also the one that the gate compared with."""
        moved = (number for move in self.moves.values() for number in move)
        numbers = {self.version, self.evidence.get("against"), *moved}
        return frozenset(number for number in numbers if number is not None)

    def model_hash_of(self, number: int) -> str | None:
        """The model hash of the version of that number that it names; None if it does not say.

        Empty is that of a version that was registered without one.
        """
        text = (self.model_hashes or {}).get(str(number))
        if text is None and number == self.version:  # of an earlier release
            text = self.evidence.get("model_hash") or None
        return text

    def id_of(self, number: int) -> VersionId:
        """The version of that number that it names."""
        return VersionId(number, self.model_hash_of(number))

    @property
    def head(self) -> str:
        """What names it while it is the last of the chain: its index, its hash and its run."""
        return f"{self.index} {self.hash} {self.id}"

    def digest(self) -> str:
        """SHA-256, hex, of the canonical JSON of everything but the hash itself.

        And but `model_hashes` where there are none: an earlier release did not know the field.
        """
        return _sha256(self._canonical().encode())

    def _canonical(self) -> str:
        content = self._content()
        del content["hash"]
        if self.model_hashes is None:
            del content["model_hashes"]
        return _canonical_json(content)

    def _content(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def as_json(self, **derived: Any) -> str:
        """One line, with the versions in production before and after and other `derived` values."""
        first = {"index": self.index, "time": self.time}
        production = {"version_from": self.version_from, "version_to": self.version_to}
        return json.dumps(first | self._content() | production | derived, default=dict)

    def to_line(self) -> bytes:
        """The canonical JSON that its hash is of, with a tab on each side of its evidence."""
        evidence = _canonical_json(self.evidence)
        before, _, after = self._canonical().partition(evidence)
        return "\t".join((before, evidence, after)).encode()

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """The event of such a line, and its hash, with evidence that is parsed when it is read.

        Most of a long history's verdicts are never looked at. Raises ValueError if the line is
        none.
        """
        before, evidence, after = line.split(b"\t")
        try:
            values = from_json(b"%b{}%b" % (before, after))
            values["moves"] = {alias: (old, new) for alias, (old, new) in values["moves"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no event: {error!r}") from error
        values["evidence"] = LazyJson(evidence)
        values["hash"] = _sha256(line.replace(b"\t", b""))
        event = cls.__new__(cls)
        event.__dict__.update(values)  # in a third of the constructor's time; the hash checks all
        return event

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
        """As tags of its run: text as it is, the rest as JSON, a long value in several tags."""
        content = self._content()
        del content["id"]
        texts = {
            name: value
            if isinstance(value, str)
            else json.dumps(value, allow_nan=False, default=dict)
            for name, value in content.items()
            if value is not None
        }
        return {tag: part for name, text in texts.items() for tag, part in divided(name, text)}

    @classmethod
    def of(cls, run: Run) -> Self:
        """From the MLflow run that stores it. Raises ValueError if its tags are not an event's."""
        tags = run.data.tags
        values: dict[str, Any] = {"id": run.info.run_id, "version": None}
        try:
            for name in cls.__dataclass_fields__:
                if name in tags:
                    text = joined(tags, name)
                    values[name] = json.loads(text) if name in _JSON else text
            moves = values["moves"].items()
            return cls(**{**values, "moves": {alias: (old, new) for alias, (old, new) in moves}})
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(
                f"run {run.info.run_id} holds no readable event ({error!r}): its tags were edited"
            ) from error


class LazyJson(Mapping[str, Any]):
    """The object of a JSON text, which is parsed when it is first asked for something."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    @cached_property
    def _values(self) -> dict[str, Any]:
        return dict(json.loads(self.text))

    @property
    def is_parsed(self) -> bool:
        """Whether it was asked for anything yet."""
        return "_values" in self.__dict__

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


_JSON = {"version", "moves", "forced", "evidence", "index", "model_hashes"}  # the others are text


def _canonical_json(value: Any) -> str:
    """`LazyJson` is written as the object that it is."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=dict)


def _sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def divided(name: str, text: str) -> Iterator[tuple[str, str]]:
    """A text of any length as tags that every store accepts: `name`, `name.1`, …"""
    for start in range(0, len(text) or 1, TAG_LENGTH):
        tag = name if not start else f"{name}.{start // TAG_LENGTH}"
        yield tag, text[start : start + TAG_LENGTH]


def joined(tags: Mapping[str, str], name: str) -> str:
    """The text that `divided` made tags of; the first must be there."""
    parts = [tags[name]]
    while (part := tags.get(f"{name}.{len(parts)}")) is not None:
        parts.append(part)
    return "".join(parts)
