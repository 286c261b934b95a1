"""The last event of a ledger that this checkout knows of, kept outside of the store.

A store that was emptied, or restored from an older backup, is in order by itself: its chain is only
shorter. So the head of each ledger is kept under .state/ledgers as well, one small file per store
and model. The store may be ahead of it, as other hosts move too, but never behind it.
"""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from resnet.errors import PipelineError
from resnet.registry import sqlite_file
from resnet.registry.ledger.event import Event
from resnet.registry.store import Client
from resnet.system import files

FILE = "head.json"

log = logging.getLogger(__name__)


def read(client: Client, name: str) -> str | None:
    """The head that is known of the ledger of `name`: see `Event.head`; None if none is.

    Raises PipelineError if it cannot be read.
    """
    path = folder(client, name) / FILE
    return _read(path)["head"] if path.exists() else None


def write(client: Client, name: str, head: str, level: int = logging.WARNING) -> None:
    """Keep `head`. Its event has happened, so an error here is only logged, at that level."""
    path = folder(client, name) / FILE
    try:
        files.write_json(path, {"model": name, "head": head})
    except OSError as error:
        log.log(level, "%s: the ledger's head could not be kept in %s: %s", name, path, error)


def models(uri: str, state: Path) -> set[str]:
    """The names of the models of the store at `uri` of whose ledgers a head is known.

    The store need not exist any more. `state` is the checkout's: see `project.state`.
    """
    return {_read(path)["model"] for path in _store_folder(uri, state).glob(f"*/{FILE}")}


def missing(history: Sequence[Event], head: str | None) -> str | None:
    """What of the chain `history` is missing if `head` is known, in words; None if nothing is."""
    if head is None:
        return None
    index, hash_ = _place(head)
    if index < len(history) and history[index].hash == hash_:
        return None
    if index < len(history):
        return f"its event {index} is another one than this checkout knows"
    last = f"ends with event {history[-1].index}" if history else "is empty"
    return f"it {last}, but this checkout knows event {index}"


def _place(head: str) -> tuple[int, str]:
    """The index and the hash in a head. Raises ValueError if it is none."""
    index, hash_, _ = head.split(" ")
    return int(index), hash_


def _read(path: Path) -> dict[str, str]:
    try:
        values = files.read_json(path)
        _place(str(values["head"]))
        return {key: str(values[key]) for key in ("model", "head")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            f"{path}, the last event that is known of a ledger, cannot be read ({error!r}): delete "
            "it, and see whether 'resnet history' shows all that it should"
        ) from error


def folder(client: Client, name: str) -> Path:
    """Where this checkout keeps what it knows of the ledger of `name`."""
    return _store_folder(client.tracking_uri, client.state) / _short_hash(name)


def _store_folder(uri: str, state: Path) -> Path:
    """One per store: the checkout's own has the same wherever the checkout is moved."""
    database, home = sqlite_file.path_of(uri), state.resolve()
    if database:
        own = database.is_relative_to(home)
        place = str(database.relative_to(home) if own else database)
    else:
        address = urlsplit(uri)
        place = f"{address.hostname}:{address.port}{address.path.rstrip('/')}"  # and no password
    return state / "ledgers" / _short_hash(place)


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
