"""The gate's rules, one verdict line each: facts about a version in, `Rule`s out.

A first version is held against the limits alone: it has nothing to be compared with. A rule whose
facts could not be had fails and says why.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from resnet import params
from resnet.errors import PipelineError
from resnet.evaluation.values import Metrics
from resnet.registry.comparison import Comparison

T = TypeVar("T")

SLACK = 1e-9  # in floating point 0.80 - 0.79 is a little more than 0.01


@dataclass(frozen=True)
class Rule:
    """One rule of the gate, and whether it holds."""

    name: str
    passed: bool
    text: str  # what was found, and what was wanted

    def __str__(self) -> str:
        return f"{'PASS' if self.passed else 'FAIL'}  {self.name}: {self.text}"


@dataclass(frozen=True)
class Best:
    """The most accurate version that ever was in production, rolled back or not."""

    version: int
    accuracy: float  # on the challenger's test images
    serves: bool  # it is in production now


@dataclass(frozen=True)
class Facts:
    """What the rules are about. The reason stands in the place of what could not be had."""

    metrics: Metrics  # the challenger's
    recalls: Mapping[str, float] | PipelineError  # of each class, the challenger's
    comparison: Comparison | PipelineError | None  # None where nothing is in production
    best: Best | PipelineError | None  # None where nothing ever was


def decide(facts: Facts, gate: params.Gate) -> tuple[Rule, ...]:
    """Hold the facts against every rule of `gate`."""
    metrics = facts.metrics
    found = [
        Rule(
            "floor",
            metrics.accuracy >= gate.floor,
            f"accuracy {metrics.accuracy:.2%}, wanted at least {gate.floor:.2%}",
        ),
        _rule("class floor", facts.recalls, lambda recalls: _class_floor(recalls, gate)),
        _rule("margin", facts.comparison, lambda comparison: _margin(comparison, gate)),
        _rule("best", facts.best, lambda best: _best(metrics.accuracy, best, gate)),
        Rule(
            "calibration",
            metrics.calibration_error <= gate.calibration_error,
            f"error {metrics.calibration_error:.1%}, wanted at most {gate.calibration_error:.1%}",
        ),
        Rule(
            "latency",
            metrics.latency_ms <= gate.latency_ms,
            f"{metrics.latency_ms:.2f} ms for one image, wanted at most {gate.latency_ms:g} ms",
        ),
        Rule(
            "size",
            metrics.size_bytes <= gate.size_bytes,
            f"{metrics.size_bytes:,} bytes, wanted at most {gate.size_bytes:,}",
        ),
    ]
    return tuple(rule for rule in found if rule)


def _rule(
    name: str, fact: T | PipelineError | None, check: Callable[[T], tuple[bool, str]]
) -> Rule | None:
    """The rule about a fact, unless there is none to have one about."""
    if fact is None:
        return None
    if isinstance(fact, PipelineError):
        return Rule(name, False, f"cannot be evaluated: {fact}")
    return Rule(name, *check(fact))


def _class_floor(recalls: Mapping[str, float], gate: params.Gate) -> tuple[bool, str]:
    wanted = f"wanted at least {gate.class_floor:.1%} of every class"
    low = {name: recall for name, recall in recalls.items() if recall < gate.class_floor}
    if low:
        listed = ", ".join(f"{name} {recall:.1%}" for name, recall in low.items())
        return False, f"recall of {listed}, {wanted}"
    worst = min(recalls, key=lambda name: recalls[name])
    return True, f"recall of {worst} {recalls[worst]:.1%} is the lowest, {wanted}"


def _margin(comparison: Comparison, gate: params.Gate) -> tuple[bool, str]:
    """By the bound: that the difference was found within the margin is not enough."""
    text = (
        f"{_points(comparison.difference)} against production's {comparison.production:.2%}, with "
        f"{comparison.confidence:.0%} confidence at least {_points(comparison.bound)}; "
        f"wanted at least {_points(-gate.margin)}"
    )
    return comparison.bound >= -gate.margin - SLACK, text


def _best(accuracy: float, best: Best, gate: params.Gate) -> tuple[bool, str]:
    """By the accuracies found, without a bound.

    The best of many versions owes a part of its accuracy to chance, and the more so the more there
    were: a bound would count the chance twice, and with time refuse ever more equal retrains.
    """
    difference = accuracy - best.accuracy
    text = (
        f"{_points(difference)} against {best.accuracy:.2%} of version {best.version}, the best "
        f"ever in production{' (and there now)' if best.serves else ''}; "
        f"wanted at least {_points(-gate.margin)}"
    )
    return difference >= -gate.margin - SLACK, text


def _points(difference: float) -> str:
    """A difference of accuracy, in percentage points."""
    return f"{100 * difference:+.2f} points"
