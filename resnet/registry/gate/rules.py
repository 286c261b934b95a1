"""The gate's rules, one verdict line each: facts about a version in, `Rule`s out.

A first version is held against the limits alone: it has nothing to be compared with. A rule whose
facts could not be had fails and says why.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import TypeVar

from resnet import params
from resnet.errors import PipelineError
from resnet.evaluation.comparison import Comparison
from resnet.evaluation.values import Metrics

T = TypeVar("T")

Measured = Mapping[str, int | float | None]
"""The metrics of an evaluation, by name; None for what is no number."""

OF_THE_MODEL = ("parameters", "flops", "size_bytes", "latency_ms", "throughput")
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

    metrics: Measured  # the challenger's
    recalls: Mapping[str, float] | PipelineError  # of each class, the challenger's
    comparison: Comparison | PipelineError | None  # None where nothing is in production
    best: Best | PipelineError | None  # None where nothing ever was


def measured(metrics: Metrics) -> Measured:
    """The metrics as recorded. A number that JSON has as null, NaN or Infinity is none."""
    return {
        name: value if isinstance(value, int | float) and isfinite(value) else None
        for name, value in asdict(metrics).items()
    }


def of_the_model(metrics: Measured) -> Measured:
    """The same without what it owes to the test images."""
    return {name: value if name in OF_THE_MODEL else None for name, value in metrics.items()}


def decide(facts: Facts, gate: params.Gate) -> tuple[Rule, ...]:
    """Hold the facts against every rule of `gate`."""
    metrics = facts.metrics
    accuracy = _known(metrics, "accuracy")
    found = [
        _rule("floor", accuracy, _floor, gate),
        _rule("class floor", facts.recalls, _class_floor, gate),
        _rule("margin", facts.comparison, _margin, gate),
        _rule("best", _pair(accuracy, facts.best), _best, gate),
        _rule("calibration", _known(metrics, "calibration_error"), _calibration, gate),
        _rule("latency", _known(metrics, "latency_ms"), _latency, gate),
        _rule("size", _known(metrics, "size_bytes"), _size, gate),
    ]
    return tuple(rule for rule in found if rule)


def _rule(
    name: str,
    fact: T | PipelineError | None,
    check: Callable[[T, params.Gate], tuple[bool, str]],
    gate: params.Gate,
) -> Rule | None:
    """The rule about a fact, unless there is none to have one about."""
    if fact is None:
        return None
    if isinstance(fact, PipelineError):
        return Rule(name, False, f"cannot be evaluated: {fact}")
    return Rule(name, *check(fact, gate))


def _known(metrics: Measured, name: str) -> float | PipelineError:
    value = metrics[name]
    if value is None:
        return PipelineError(
            f"{name} of the evaluation is no number: run 'resnet evaluate' and 'resnet publish' "
            "again"
        )
    return value


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


def _best(pair: tuple[float, Best], gate: params.Gate) -> tuple[bool, str]:
    """By the accuracies found, without a bound.

    The best of many versions owes a part of its accuracy to chance, and the more so the more there
    were: a bound would count the chance twice, and with time refuse ever more equal retrains.
    """
    accuracy, best = pair
    difference = accuracy - best.accuracy
    text = (
        f"{_points(difference)} against {best.accuracy:.2%} of version {best.version}, the best "
        f"ever in production{' (and there now)' if best.serves else ''}; "
        f"wanted at least {_points(-gate.margin)}"
    )
    return difference >= -gate.margin - SLACK, text


def _calibration(error: float, gate: params.Gate) -> tuple[bool, str]:
    text = f"error {error:.1%}, wanted at most {gate.calibration_error:.1%}"
    return error <= gate.calibration_error, text


def _latency(ms: float, gate: params.Gate) -> tuple[bool, str]:
    text = f"{ms:.2f} ms for one image, wanted at most {gate.latency_ms:g} ms"
    return ms <= gate.latency_ms, text


def _size(size: float, gate: params.Gate) -> tuple[bool, str]:
    return size <= gate.size_bytes, f"{size:,} bytes, wanted at most {gate.size_bytes:,}"


def _points(difference: float) -> str:
    """A difference of accuracy, in percentage points."""
    return f"{100 * difference:+.2f} points"
