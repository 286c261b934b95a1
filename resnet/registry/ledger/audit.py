"""Whether a registered model's ledger is whole, and its aliases are where it says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resnet.registry import versions
from resnet.registry.ledger import ledger, lock, queries
from resnet.registry.ledger.event import Event
from resnet.registry.store import Client
from resnet.registry.versions import CANDIDATE, PRODUCTION


@dataclass(frozen=True)
class Stray:
    """Aliases that are not where the ledger's last events put them."""

    name: str
    moves: Mapping[str, tuple[int | None, int | None]]
    """Alias → the version that the ledger names, and that the alias does; None for nothing."""

    def __str__(self) -> str:
        told = "; ".join(_sentence(alias, *move) for alias, move in self.moves.items())
        return f"{told}: moved behind the ledger's back"


def stray(client: Client, name: str) -> Stray | None:
    """Which aliases of `name` were moved behind the ledger's back. For a holder of its lock."""
    return _stray(client, name, ledger.events(client, name))


def problems(client: Client, name: str) -> list[str]:
    """What is wrong with the ledger of `name` and its aliases, in words."""
    while True:
        read = ledger.read(client, name)
        found = _stray(client, name, read.events)
        if ledger.read(client, name) == read:
            break  # else a mover was at work while the aliases were read
    lines = [f"the ledger is not whole: {read.broken}"] if read.broken else []
    holder = lock.Holder.read(client, name)
    if holder and not holder.is_over:
        lines.append(f"a move is under way, by {holder}")
    else:
        lines += [
            f"begun and not finished: {one}; run 'resnet reconcile'" for one in read.unfinished
        ]
    moving = {alias for event in read.unfinished for alias in event.moves}
    moves = {
        alias: move for alias, move in (found.moves if found else {}).items() if alias not in moving
    }
    if moves:
        lines.append(f"{Stray(name, moves)}; 'resnet reconcile' puts it back, or accepts it")
    return lines


def _stray(client: Client, name: str, events: Sequence[Event]) -> Stray | None:
    moves = {}
    for alias in (PRODUCTION, CANDIDATE):
        last = queries.last_move(events, alias)
        told = last.moves[alias][1] if last else None
        version = versions.with_alias(client, name, alias)
        found = version.number if version else None
        if found != told:
            moves[alias] = told, found
    return Stray(name, moves) if moves else None


def _sentence(alias: str, told: int | None, found: int | None) -> str:
    names = f"{alias} names version {found}" if found else f"{alias} is gone"
    says = f"event says {told}" if told else "word is that it names nothing"
    return f"{names}, the ledger's last {says}"
