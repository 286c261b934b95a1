"""The events of a ledger that this checkout has verified, so that a move reads only what is new.

They are a copy under .state/ledgers, which may be deleted. The copy is a chain of hashes as the
ledger is: each event is verified again when it is loaded, and the ledger's head has to follow it.
Beside it is when the whole ledger was last read, and was intact.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from resnet.registry.ledger import known_head
from resnet.registry.ledger.event import Event, from_iso, utc_iso
from resnet.registry.store import Client
from resnet.system import files

FILE = "events.jsonl"  # see `Event.to_line`
CHECK_FILE = "whole.json"

log = logging.getLogger(__name__)


def load(client: Client, name: str) -> list[Event]:
    """The events of the copy, in order; none if there is none, or it is not what was written."""
    try:
        content = _path(client, name, FILE).read_bytes()
        events = [Event.from_line(line) for line in content.splitlines()]
    except (OSError, ValueError):
        return []
    previous = None
    for index, event in enumerate(events):
        if (event.index, event.previous) != (index, previous):
            return []
        previous = event.hash
    return events


def keep(client: Client, name: str, events: Sequence[Event], kept: int = 0) -> None:
    """Let the copy be these events, which are a chain; the first `kept` are in it already.

    Without it the next read is slower. Two processes may add the same events at once, and a killed
    one a part of a line: then the copy is no chain, and is written anew.
    """
    path = _path(client, name, FILE)
    content = b"".join(b"%b\n" % event.to_line() for event in events[kept:])
    try:
        if kept:
            with path.open("ab") as stream:
                stream.write(content)
        else:
            with files.replacing(path) as draft:
                draft.write_bytes(content)
    except OSError as error:
        log.debug("%s: the ledger's events are not kept in %s: %s", name, path, error)


@dataclass(frozen=True)
class WholeCheck:
    """The last time that this checkout has read a whole ledger, which was intact."""

    head: str  # its last event then: see `Event.head`
    time: datetime

    @classmethod
    def read(cls, client: Client, name: str) -> Self | None:
        """None if the ledger never was read whole, or nobody remembers."""
        try:
            values = files.read_json(_path(client, name, CHECK_FILE))
            return cls(str(values["head"]), from_iso(values["time"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @staticmethod
    def forget(client: Client, name: str) -> None:
        """Until the next one every reader reads the whole ledger."""
        with suppress(OSError):
            _path(client, name, CHECK_FILE).unlink(missing_ok=True)

    def write(self, client: Client, name: str) -> None:
        path = _path(client, name, CHECK_FILE)
        try:
            files.write_json(path, {"head": self.head, "time": utc_iso(self.time)})
        except OSError as error:
            log.debug("%s: its check is not kept in %s: %s", name, path, error)

    def __str__(self) -> str:
        index = self.head.partition(" ")[0]
        return f"{self.time.astimezone(UTC):%Y-%m-%d %H:%M} UTC, up to event {index}"


def _path(client: Client, name: str, file: str) -> Path:
    return known_head.folder(client, name) / file
