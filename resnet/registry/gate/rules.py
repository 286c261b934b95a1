"""The gate's rules, one line of the verdict each: facts about a version in, `Rule`s out.

A first version has nothing to be compared with and is checked against the limits alone. A rule
whose facts are not available fails, and says why.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from resnet import params
from resnet.errors import PipelineError
from resnet.evaluation.comparison import Comparison
from resnet.evaluation.metrics import MetricValues, is_calibrated

T = TypeVar("T")

SLACK = 1e-9  # in floating point 0.80 - 0.79 is a little more than 0.01


@dataclass(frozen=True)
class Rule:
    """One rule of the gate, and whether it holds."""

    name: str
    passed: bool
    text: str  # the value that was found, and the limit

    def __str__(self) -> str:
        return f"{'PASS' if self.passed else 'FAIL'}  {self.name}: {self.text}"


@dataclass(frozen=True)
class Best:
    """The most accurate version that was ever in production, rolled back or not."""

    version: int
    accuracy: float  # on the challenger's test samples
    serves: bool  # it is still in production


@dataclass(frozen=True)
class Facts:
    """The facts that the rules are about, or the reason why one is not available."""

    metrics: MetricValues  # of the challenger
    recalls: Mapping[str, float] | PipelineError  # of the challenger, by class
    comparison: Comparison | PipelineError | None  # None where nothing is in production
    best: Best | PipelineError | None  # None where nothing ever was


def decide(facts: Facts, gate: params.Gate) -> tuple[Rule, ...]:
    """Check the facts against every rule of `gate`."""
    metrics = facts.metrics
    accuracy = _known(metrics, "accuracy")
    rules = [
        _rule("floor", accuracy, _floor, gate),
        _rule("class floor", facts.recalls, _class_floor, gate),
        _rule("margin", facts.comparison, _margin, gate),
        _rule("best", _pair(accuracy, facts.best), _best, gate),
        _rule("calibration", _calibration_facts(metrics), _calibration, gate),
        _rule("latency", _known(metrics, "latency_ms"), _latency, gate),
        _rule("size", _known(metrics, "size_bytes"), _size, gate),
    ]
    return tuple(rule for rule in rules if rule)


def _rule(
    name: str,
    fact: T | PipelineError | None,
    check: Callable[[T, params.Gate], tuple[bool, str]],
    gate: params.Gate,
) -> Rule | None:
    """The rule about a fact; None where there is no such fact."""
    if fact is None:
        return None
    if isinstance(fact, PipelineError):
        return Rule(name, False, f"cannot be evaluated: {fact}")
    return Rule(name, *check(fact, gate))


def _known(metrics: MetricValues, name: str) -> float | PipelineError:
    value = metrics[name]
    if value is None:
        return PipelineError(
            f"the evaluation has no finite {name}: run 'resnet evaluate' and 'resnet publish' again"
        )
    return value


def _calibration_facts(metrics: MetricValues) -> tuple[float, bool] | PipelineError:
    """The calibration error, and whether the probabilities are calibrated."""
    error = _known(metrics, "calibration_error")
    return error if isinstance(error, PipelineError) else (error, is_calibrated(metrics))


def _pair(
    accuracy: float | PipelineError, best: Best | PipelineError | None
) -> tuple[float, Best] | PipelineError | None:
    if best is None or isinstance(best, PipelineError):
        return best
    return accuracy if isinstance(accuracy, PipelineError) else (accuracy, best)


def _floor(accuracy: float, gate: params.Gate) -> tuple[bool, str]:
    text = f"accuracy {accuracy:.2%}, wanted at least {gate.floor:.2%}"
    return accuracy >= gate.floor, text


def _class_floor(recalls: Mapping[str, float], gate: params.Gate) -> tuple[bool, str]:
    limit = f"wanted at least {gate.class_floor:.1%} of every class"
    low = {name: recall for name, recall in recalls.items() if recall < gate.class_floor}
    if low:
        listed = ", ".join(f"{name} {recall:.1%}" for name, recall in low.items())
        return False, f"recall of {listed}, {limit}"
    worst = min(recalls, key=lambda name: recalls[name])
    return True, f"recall of {worst} {recalls[worst]:.1%} is the lowest, {limit}"


def _margin(comparison: Comparison, gate: params.Gate) -> tuple[bool, str]:
    """The lower bound of the difference has to be within the margin, not the difference alone."""
    text = (
        f"{_points(comparison.difference)} against production's {comparison.production:.2%}, with "
        f"{comparison.confidence:.0%} confidence at least {_points(comparison.bound)}; "
        f"it may lose at most {100 * gate.margin:.2f} points"
    )
    return comparison.bound >= -gate.margin - SLACK, text


def _best(pair: tuple[float, Best], gate: params.Gate) -> tuple[bool, str]:
    """The difference itself has to be within the margin, without a bound.

    The best of many versions owes part of its accuracy to chance, the more so the more versions
    there were: a bound would count the chance twice, and refuse more and more equal retrains.
    """
    accuracy, best = pair
    difference = accuracy - best.accuracy
    text = (
        f"{_points(difference)} against {best.accuracy:.2%} of version {best.version}, the best "
        f"version ever in production{' (still serving)' if best.serves else ''}; "
        f"it may lose at most {100 * gate.margin:.2f} points"
    )
    return difference >= -gate.margin - SLACK, text


def _calibration(facts: tuple[float, bool], gate: params.Gate) -> tuple[bool, str]:
    error, calibrated = facts
    if calibrated or gate.uncalibrated_error is None:
        limit = gate.calibration_error
        return error <= limit, f"error {error:.1%}, wanted at most {limit:.1%}"
    limit = gate.uncalibrated_error
    text = f"error {error:.1%}, wanted at most {limit:.1%} without calibrated probabilities"
    if error <= limit:
        return True, text
    return False, f"{text}: train it again with validation samples (data.validation)"


def _latency(ms: float, gate: params.Gate) -> tuple[bool, str]:
    text = f"{ms:.2f} ms for one sample, wanted at most {gate.latency_ms:g} ms"
    return ms <= gate.latency_ms, text


def _size(size: float, gate: params.Gate) -> tuple[bool, str]:
    return size <= gate.size_bytes, f"{size:,} bytes, wanted at most {gate.size_bytes:,}"


def _points(difference: float) -> str:
    """A difference of accuracies, in percentage points."""
    return f"{100 * difference:+.2f} points"
