"""The events of a ledger that this checkout has verified, so that a move reads only what is new.

They are a copy under .state/ledgers, which may be deleted. The copy is a chain of hashes as the
ledger is: each event is verified again when it is loaded, and the ledger's head has to follow it.
"""

import logging
from collections.abc import Sequence

from resnet.registry.ledger import known_head
from resnet.registry.ledger.chain import Ledger
from resnet.registry.ledger.event import Event
from resnet.registry.store import Client
from resnet.system import files

FILE = "events.jsonl"

log = logging.getLogger(__name__)


def load(client: Client, name: str) -> list[Event]:
    """The events of the copy, in order; none if there is none, or it is not what was written."""
    path = known_head.folder(client, name) / FILE
    try:
        events = [Event.from_json(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError):
        return []
    whole = Ledger(events, [], events[-1].head if events else None)
    return [] if whole.broken else events


def keep(client: Client, name: str, events: Sequence[Event]) -> None:
    """Replace the copy by these events, which are a chain. Without it the next read is slower."""
    path = known_head.folder(client, name) / FILE
    try:
        files.write_text(path, "".join(f"{event.to_json()}\n" for event in events))
    except OSError as error:
        log.debug("%s: the ledger's events are not kept in %s: %s", name, path, error)
