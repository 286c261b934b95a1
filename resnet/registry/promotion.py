"""Move `production` to a version that passes the gate, or back; each move is in the ledger.

A first version passes with the floor alone; a later one must also stay within the margin of
the version in production, on the same test images.
"""

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet import params
from resnet.errors import PipelineError
from resnet.evaluation.values import Evaluation
from resnet.registry import ledger, store, versions
from resnet.registry.ledger import Event
from resnet.registry.versions import CANDIDATE, PRODUCTION, Version


@dataclass(frozen=True)
class Rule:
    """One rule of the gate, and whether it holds."""

    name: str
    passed: bool
    text: str

    def __str__(self) -> str:
        return f"{'PASS' if self.passed else 'FAIL'}  {self.name}: {self.text}"


@dataclass(frozen=True)
class Verdict:
    """The gate's answer: passed where every rule did."""

    rules: tuple[Rule, ...]
    against: int | None = None  # the version in production that it was compared with

    @property
    def passed(self) -> bool:
        return all(rule.passed for rule in self.rules)

    def __str__(self) -> str:
        return "\n".join(map(str, self.rules))


@dataclass(frozen=True)
class Decision:
    """What became of a promotion. Without an event nothing had to be moved."""

    version: Version
    promoted: bool  # it is in production now
    verdict: Verdict | None
    event: Event | None

    def __str__(self) -> str:
        where = f"{self.version.name} version {self.version.number}"
        if self.event is None:
            return f"{where} is in production already"
        head = f"{where} is {'now in production' if self.promoted else 'refused by the gate'}"
        return f"{head}{' (forced)' if self.event.forced else ''}\n{self.verdict}"


def decide(challenger: Evaluation, production: Evaluation | None, gate: params.Gate) -> Verdict:
    """Compare two evaluations by the rules of `gate`. A rule that cannot be evaluated fails."""
    accuracy = challenger.metrics.accuracy
    floor = Rule(
        "floor", accuracy >= gate.floor, f"accuracy {accuracy:.2%}, wanted {gate.floor:.2%}"
    )
    if production is None:
        return Verdict((floor,))
    if challenger.test_hash != production.test_hash:
        text = "production was scored on other test images, so the two cannot be compared"
        return Verdict((floor, Rule("margin", False, text)))
    # Counted in images: 0.80 − 0.79 is a little less than 0.01 in floating point.
    lost = production.metrics.correct - challenger.metrics.correct
    images = challenger.metrics.images
    text = (
        f"accuracy {-lost / images:+.2%} against production's "
        f"{production.metrics.accuracy:.2%}, wanted at least {-gate.margin:+.2%}"
    )
    return Verdict((floor, Rule("margin", lost <= round(gate.margin * images, 6), text)))


def judge(root: Path, name: str, selector: str | int, gate: params.Gate) -> Verdict:
    """Ask the gate about a version without moving production; `candidate` may move."""
    client = store.client(root)
    version = versions.resolve(client, name, selector)
    return _judge(client, version, versions.with_alias(client, name, PRODUCTION), gate)


def promote(
    root: Path,
    name: str,
    selector: str | int,
    gate: params.Gate,
    *,
    reason: str,
    who: str | None = None,
    force: bool = False,
    verdict: Verdict | None = None,
) -> Decision:
    """Put a version into production if the gate lets it, or against the gate with `force`.

    The gate is not asked again where its `verdict` is at hand and production has not moved since.
    Raises PipelineError without a reason, for a version that is not there, or where its file is
    not what was published (not even by force).
    """
    _need(reason)
    client = store.client(root)
    with store.one_at_a_time(root, "promotion"):
        ledger.settle(client, name)
        version = versions.resolve(client, name, selector)
        production = versions.with_alias(client, name, PRODUCTION)
        if production and production.number == version.number:
            _note(client, version, "promoted", gate)
            return Decision(version, True, None, None)
        if verdict is None or verdict.against != (production.number if production else None):
            verdict = _judge(client, version, production, gate)
        promoted = verdict.passed or force
        if promoted:
            _check(client, version)
        event = ledger.begin(
            client,
            name,
            "promote" if promoted else "refuse",
            production.number if production else None,
            version.number,
            who=who,
            reason=reason,
            forced=force and not verdict.passed,
            evidence=_evidence(version, verdict),
        )
        if promoted:
            _move(client, version)
        finished = ledger.finish(client, event)
        _note(client, version, "promoted" if promoted else "refused", gate)
        version = versions.resolve(client, name, version.number)
        return Decision(version, promoted, verdict, finished)


def rollback(
    root: Path,
    name: str,
    *,
    reason: str,
    to: str | int | None = None,
    who: str | None = None,
) -> Event:
    """Put the version that was in production before, or the one named `to`, back.

    Raises PipelineError without a reason, and where there is no such version.
    """
    _need(reason)
    client = store.client(root)
    with store.one_at_a_time(root, "promotion"):
        ledger.settle(client, name)
        production = versions.with_alias(client, name, PRODUCTION)
        if production is None:
            raise PipelineError(f"{name} has no version in production: promote one first")
        version = versions.resolve(client, name, to or _before(client, production))
        if version.number == production.number:
            raise PipelineError(f"{version} is in production already: name another version")
        _check(client, version)
        event = ledger.begin(
            client, name, "rollback", production.number, version.number, who=who, reason=reason
        )
        _move(client, version)
        return ledger.finish(client, event)


def decision_key(gate: params.Gate, test_hash: str) -> str:
    """SHA-256, hex, of what a version's decision is made from: the rules and the test images.

    Not the evaluation: it holds timings, and one more of them must not undo a rollback.
    """
    text = json.dumps([gate.model_dump(mode="json"), test_hash], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _judge(client: Any, version: Version, production: Version | None, gate: params.Gate) -> Verdict:
    with tempfile.TemporaryDirectory() as folder:
        evaluations = [
            versions.evaluation(client, one, Path(folder) / str(one.number)) if one else None
            for one in (version, production)
        ]
    challenger, current = evaluations
    assert challenger is not None  # noqa: S101  (there is a version)
    rules = decide(challenger, current, gate).rules
    verdict = Verdict(rules, against=production.number if production else None)
    if verdict.passed:
        newest = versions.with_alias(client, version.name, CANDIDATE)
        if newest is None or newest.number < version.number:
            client.set_registered_model_alias(version.name, CANDIDATE, str(version.number))
    return verdict


def _before(client: Any, production: Version) -> int:
    """The version that was in production before, by the ledger."""
    past = ledger.in_production(ledger.events(client, production.name))
    for number in reversed(past):
        if number != production.number:
            return number
    raise PipelineError(
        f"no other version than {production.number} of {production.name} was ever in production: "
        "name the one that you want with --to"
    )


def _check(client: Any, version: Version) -> None:
    """Bring the version's file back. Raises PipelineError where it is not what was published."""
    with tempfile.TemporaryDirectory() as folder:
        versions.download(client, version, Path(folder))


def _move(client: Any, version: Version) -> None:
    client.set_registered_model_alias(version.name, PRODUCTION, str(version.number))


def _note(client: Any, version: Version, decision: str, gate: params.Gate) -> None:
    """Tag the version with the decision, so that a later run knows that there is one."""
    key = decision_key(gate, version.test_hash)
    if (version.decision, version.decision_key) == (decision, key):
        return
    # The key comes last: without it there is no decision.
    for tag, value in {"decision": decision, "decision_key": key}.items():
        client.set_model_version_tag(version.name, str(version.number), tag, value)


def _evidence(version: Version, verdict: Verdict) -> dict[str, Any]:
    return {
        "model_hash": version.model_hash,
        "evaluation_hash": version.evaluation_hash,
        "gate": [str(rule) for rule in verdict.rules],
    }


def _need(reason: str) -> None:
    if not reason.strip():
        raise PipelineError("the reason is empty: say why with --reason, for those who come later")
