"""Whether a registered model's ledger is intact, and matches the aliases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from resnet.registry import versions
from resnet.registry.ledger import ledger, lock, queries
from resnet.registry.ledger.chain import Ledger
from resnet.registry.ledger.event import Event, Moves
from resnet.registry.ledger.verified_events import WholeCheck
from resnet.registry.store import Client
from resnet.registry.versions import CANDIDATE, PRODUCTION, VersionId

CHECK_EVERY = timedelta(days=1)  # the history, and each retraining, read the whole chain


@dataclass(frozen=True)
class AliasMismatch:
    """Aliases that do not name the versions of the ledger's last events."""

    name: str
    aliases: Mapping[str, tuple[VersionId | None, VersionId | None]]
    """Alias → the version by the ledger, and the one that it names; None if unset."""

    def moves(self) -> Moves:
        """The same in numbers: alias → the version by the ledger, and the one that it names."""
        return {
            alias: (expected.number if expected else None, actual.number if actual else None)
            for alias, (expected, actual) in self.aliases.items()
        }

    def __str__(self) -> str:
        sentences = (_sentence(alias, *numbers) for alias, numbers in self.aliases.items())
        return f"{'; '.join(sentences)}: changed outside the ledger"


def alias_mismatch(client: Client, name: str, history: Sequence[Event]) -> AliasMismatch | None:
    """The aliases of `name` that were changed outside the ledger, whose events are `history`.

    Without the lock they may be in the middle of a move.
    """
    aliases = {}
    for alias in (PRODUCTION, CANDIDATE):
        expected = queries.named_by(history, alias)
        version = versions.with_alias(client, name, alias)
        actual = version.id if version else None
        if not (actual is expected is None or (actual and expected and actual.is_same(expected))):
            aliases[alias] = expected, actual
    return AliasMismatch(name, aliases) if aliases else None


def examine(client: Client, name: str, *, whole: bool = False) -> tuple[list[Event], list[str]]:
    """The events of the ledger of `name`, and its problems and those of the aliases, in words.

    The whole chain is read with `whole`, and in any case where this checkout has not found it
    intact within CHECK_EVERY; else what is new.
    """
    whole = whole or is_due(WholeCheck.read(client, name), datetime.now(UTC))
    while True:
        current = ledger.read(client, name, whole=whole)
        mismatch = alias_mismatch(client, name, current.events)
        if ledger.is_unchanged(client, name, current):
            break  # else another process changed it while the aliases were read
    return current.events, _problems(client, name, current, mismatch)


def is_due(check: WholeCheck | None, now: datetime) -> bool:
    """Whether the whole chain is to be read again; a check in the future is by a wrong clock."""
    return check is None or not now - CHECK_EVERY < check.time <= now


def _problems(
    client: Client, name: str, current: Ledger, mismatch: AliasMismatch | None
) -> list[str]:
    lines = [f"the ledger is not intact: {current.broken}"] if current.broken else []
    lines += [f"the ledger lacks events: {current.missing}"] if current.missing else []
    holder = lock.Holder.read(client, name)
    if holder and not holder.is_over:
        lines.append(f"a change is in progress, by {holder}")
    else:
        lines += [f"unfinished: {event}; run 'resnet reconcile'" for event in current.unfinished]
    in_motion = {alias for event in current.unfinished for alias in event.moves}
    changed = {
        alias: numbers
        for alias, numbers in (mismatch.aliases if mismatch else {}).items()
        if alias not in in_motion
    }
    if changed:
        lines.append(f"{AliasMismatch(name, changed)}; 'resnet reconcile' restores or accepts it")
    return lines


def _sentence(alias: str, expected: VersionId | None, actual: VersionId | None) -> str:
    if expected and actual and expected.number == actual.number:
        return (
            f"{alias} names version {actual}, but according to the ledger it should name version "
            f"{expected}: it was deleted, and its number was given again"
        )
    names = f"names version {actual.number}" if actual else "is unset"
    should = f"name version {expected.number}" if expected else "be unset"
    return f"{alias} {names}, but according to the ledger it should {should}"
