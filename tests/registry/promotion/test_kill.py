"""A process that moves an alias may be killed between any two of its writes; nothing is lost.

`make soak` does so before every write; `make test` before every second one, but for the promotion
and the approval.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from resnet import params
from resnet.registry import store, versions
from resnet.registry.gate import gate
from resnet.registry.gate.verdict import Verdict
from resnet.registry.ledger import ledger
from resnet.registry.ledger.event import Event
from resnet.registry.promotion import approval, history, promotion
from resnet.registry.promotion.reconcile import reconcile
from tests.support import REPOSITORY

GATE = params.load(REPOSITORY).gate
Register = Callable[..., int]
Check = Callable[..., None]
Save = Callable[[], Callable[[], None]]
Killed = Callable[[Callable[[], object], int], bool]
Aliases = dict[str, int]


@dataclass(frozen=True)
class Mover:
    """The moves of one registered model, in the store of any checkout."""

    name: str
    check: Check
    verdicts: dict[int, Verdict] = field(default_factory=dict)  # by version, as they were asked for

    def judge(self, root: Path, number: int) -> Verdict:
        if number not in self.verdicts:
            self.verdicts[number] = gate.judge(root, self.name, number, GATE)
        return self.verdicts[number]

    def promote(self, root: Path, number: int, reason: str = "doomed", force: bool = False) -> Any:
        verdict = self.judge(root, number)
        return promotion.promote(root, verdict, reason=reason, force=force, check=self.check)

    def rollback(self, root: Path, reason: str = "doomed") -> Any:
        return promotion.rollback(root, self.name, reason=reason, check=self.check)

    def ask(self, root: Path, number: int, reason: str = "doomed") -> Any:
        until = datetime.now(UTC) + timedelta(hours=1)
        verdict = self.judge(root, number)
        return approval.ask(root, verdict, until=until, reason=reason, check=self.check)

    def approve(self, root: Path, number: int) -> Any:
        return approval.approve(root, self.name, number, GATE, reason="doomed", check=self.check)

    def reject(self, root: Path, number: int) -> Any:
        return approval.reject(root, self.name, number, reason="doomed")

    def reconcile(self, root: Path, *, accept: bool = False) -> list[str]:
        return reconcile(root, self.name, accept=accept, reason="doomed", check=self.check)

    def set_aliases(self, root: Path, **aliases: int) -> None:
        """Outside the ledger."""
        for alias, number in aliases.items():
            store.client(root).set_registered_model_alias(self.name, alias, str(number))

    def leave(self, root: Path, **aliases: int) -> None:
        """What a promotion of version 3 leaves that was killed after writing these aliases."""
        client = store.client(root)
        moves = {"candidate": (2, 3), "production": (2, 3)}
        evidence = self.judge(root, 3).as_dict()
        event = Event("promote", self.name, 3, moves, "ann", "doomed", evidence=evidence)
        ledger.mark_checked(client, ledger.begin(client, event))
        self.set_aliases(root, **aliases)

    def aliases(self, root: Path) -> Aliases:
        numbers = store.client(root).get_registered_model(self.name).aliases
        return {alias: int(number) for alias, number in numbers.items()}


@dataclass(frozen=True)
class Case:
    """Something that is killed."""

    act: Callable[[Mover, Path], object]
    ends: tuple[Aliases, ...]  # where the aliases may be afterwards
    before: Callable[[Mover, Path], object] = lambda mover, root: None
    serves: bool = True  # else there was no promotion before


def at(production: int, candidate: int) -> Aliases:
    return {"production": production, "candidate": candidate}


CASES = {
    "promote": Case(lambda m, root: m.promote(root, 3), (at(2, 2), at(3, 3))),
    "first": Case(lambda m, root: m.promote(root, 3), ({}, at(3, 3)), serves=False),
    "force": Case(lambda m, root: m.promote(root, 4, force=True), (at(2, 2), at(4, 2))),
    "refuse": Case(lambda m, root: m.promote(root, 4), (at(2, 2),)),
    "rollback": Case(lambda m, root: m.rollback(root), (at(2, 2), at(1, 2))),
    "request": Case(lambda m, root: m.ask(root, 3), (at(2, 2), at(2, 3))),
    "approve": Case(
        lambda m, root: m.approve(root, 3),
        (at(2, 3), at(3, 3)),
        lambda m, root: m.ask(root, 3, "a retrain"),
    ),
    "reject": Case(
        lambda m, root: m.reject(root, 3),
        (at(2, 3),),
        lambda m, root: m.ask(root, 3, "a retrain"),
    ),
    "restore": Case(
        lambda m, root: m.reconcile(root),
        (at(2, 2),),
        lambda m, root: m.set_aliases(root, production=3, candidate=1),
    ),
    "found": Case(
        lambda m, root: m.reconcile(root, accept=True),
        (at(2, 2), at(3, 1)),
        lambda m, root: m.set_aliases(root, production=3, candidate=1),
    ),
    "finish": Case(
        lambda m, root: m.reconcile(root),
        (at(3, 3),),
        lambda m, root: m.leave(root, candidate=3, production=3),
    ),
    "undo": Case(
        lambda m, root: m.reconcile(root), (at(2, 2),), lambda m, root: m.leave(root, candidate=3)
    ),
}


@dataclass(frozen=True)
class Saved:
    """A store as it was at one moment, and who moves its model."""

    put_back: Callable[[], None]
    mover: Mover


@pytest.fixture(scope="module")
def registered(register: Register, check: Check, save: Save) -> Saved:
    """Four versions of which none was promoted; 3 is as good as 1 and 2, and 4 is bad."""
    mover = Mover("mortal", check)
    for number, correct in enumerate((400, 400, 400, 100), 1):
        assert register(mover.name, correct, images=500) == number
    return Saved(save(), mover)


@pytest.fixture(scope="module")
def served(made_store: Path, registered: Saved, save: Save) -> Saved:
    """2 was promoted after 1."""
    mover = Mover(registered.mover.name, registered.mover.check)
    for number in (1, 2):
        mover.promote(made_store, number, "the state before")
    for number in (3, 4):
        mover.judge(made_store, number)
    return Saved(save(), mover)


@pytest.mark.parametrize("kind", CASES)
def test_a_move_that_is_killed_at_any_point_can_be_reconciled(
    kind: str,
    made_store: Path,
    registered: Saved,
    served: Saved,
    save: Save,
    check: Check,
    killed: Killed,
    pytestconfig: pytest.Config,
) -> None:
    case = CASES[kind]
    begun = served if case.serves else registered
    begun.put_back()
    mover = replace(begun.mover, verdicts={**begun.mover.verdicts})
    client = store.client(made_store)
    case.before(mover, made_store)
    for number in (3, 4):
        mover.judge(made_store, number)
    before = ledger.events(client, mover.name)
    put_back = save()

    added: set[int] = set()  # how many events
    every = pytestconfig.getoption("--every-write") or kind in ("promote", "approve")
    for writes in itertools.count(0, 1 if every else 2):
        put_back()
        died = killed(lambda: case.act(mover, made_store), writes)
        serving = versions.with_alias(client, mover.name, "production")
        if serving or case.serves:
            check(made_store, client, serving)

        mover.reconcile(made_store)
        events, problems = history.read(made_store, mover.name)
        assert problems == []  # nothing is unfinished either
        assert events[: len(before)] == before
        assert {event.reason for event in events[len(before) :]} <= {"doomed"}
        assert (aliases := mover.aliases(made_store)) in case.ends
        if kind not in ("restore", "found"):  # recovery does not move production
            assert aliases.get("production") == (serving.number if serving else None)
        assert all(verdict_is_kept(client, event) for event in events[len(before) :])
        added.add(len(events) - len(before))
        if not died:
            break
    assert writes >= 5
    assert max(added) == (0 if kind == "undo" else 1)
    mover.verdicts.clear()
    assert mover.promote(made_store, 1, "afterwards").promoted


def verdict_is_kept(client: Any, event: Event) -> bool:
    """Whether the version's run has the files of the event's verdict, if it has one."""
    if not event.evidence:
        return True
    run = client.get_model_version(event.model, str(event.version)).run_id
    return event.id[:8] in {
        Path(file.path).stem[-8:] for file in client.list_artifacts(run, "gate")
    }
