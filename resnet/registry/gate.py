"""Ask whether a version is good enough for production: evaluations in, a verdict out.

A first version passes with the floor alone; a later one must also stay within the margin of
the version in production, on the same test images.
"""

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from resnet import params
from resnet.evaluation.values import Evaluation
from resnet.registry import store, versions
from resnet.registry.versions import PRODUCTION


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
    """The gate's answer about one version: passed where every rule did."""

    name: str
    version: int
    against: int | None  # the version in production that it was compared with
    key: str  # what it was made from: see `decision_key`
    rules: tuple[Rule, ...]

    @property
    def passed(self) -> bool:
        return all(rule.passed for rule in self.rules)

    def __str__(self) -> str:
        return "\n".join(map(str, self.rules))


def decide(
    challenger: Evaluation, production: Evaluation | None, gate: params.Gate
) -> tuple[Rule, ...]:
    """Compare two evaluations by the rules of `gate`. A rule that cannot be evaluated fails."""
    accuracy = challenger.metrics.accuracy
    floor = Rule(
        "floor", accuracy >= gate.floor, f"accuracy {accuracy:.2%}, wanted {gate.floor:.2%}"
    )
    if production is None:
        return (floor,)
    if challenger.test_hash != production.test_hash:
        text = "production was scored on other test images, so the two cannot be compared"
        return floor, Rule("margin", False, text)
    # Counted in images: 0.80 − 0.79 is a little less than 0.01 in floating point.
    lost = production.metrics.correct - challenger.metrics.correct
    images = challenger.metrics.images
    text = (
        f"accuracy {-lost / images:+.2%} against production's "
        f"{production.metrics.accuracy:.2%}, wanted at least {-gate.margin:+.2%}"
    )
    return floor, Rule("margin", lost <= round(gate.margin * images, 6), text)


def judge(root: Path, name: str, selector: str | int, gate: params.Gate) -> Verdict:
    """Ask the gate about a version, beside the one in production; moves nothing.

    Raises PipelineError where there is no such version, or an evaluation cannot be read.
    """
    client = store.client(root)
    version = versions.resolve(client, name, selector)
    production = versions.with_alias(client, name, PRODUCTION)
    with tempfile.TemporaryDirectory() as folder:
        challenger, current = (
            versions.evaluation(client, one, Path(folder) / str(one.number)) if one else None
            for one in (version, production)
        )
    assert challenger is not None  # noqa: S101  (there is a version)
    return Verdict(
        name,
        version.number,
        against=production.number if production else None,
        key=decision_key(gate, version.test_hash),
        rules=decide(challenger, current, gate),
    )


def decision_key(gate: params.Gate, test_hash: str) -> str:
    """SHA-256, hex, of what a version's decision is made from: the rules and the test images.

    Not the evaluation: it holds timings, and one more of them must not undo a rollback.
    """
    text = json.dumps([gate.model_dump(mode="json"), test_hash], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
