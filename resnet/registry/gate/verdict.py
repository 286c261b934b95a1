"""The gate's verdict about a version: as a value, as JSON, as a page, and as two artifacts."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from resnet import params
from resnet.errors import MovedError, PipelineError
from resnet.evaluation.comparison import INTERVAL, Comparison
from resnet.evaluation.metrics import METRICS, MetricValues
from resnet.pages import html_page, markdown
from resnet.registry import versions
from resnet.registry.gate.rules import Rule
from resnet.registry.store import Client
from resnet.registry.versions import Version


@dataclass(frozen=True)
class Verdict:
    """The gate's verdict about one version: passed where every rule holds."""

    name: str
    version: int
    against: int | None  # the version in production that it was compared with
    key: str  # of the rules and the test samples: see `gate.decision_key`
    rules: tuple[Rule, ...]
    model_hash: str  # of the version, when it was judged
    evaluation_hash: str
    test_hash: str  # of the test samples
    uses: int  # decisions made with these test samples, including this one
    metrics: MetricValues
    production: MetricValues | None  # as recorded; those of other test samples are None
    comparison: Comparison | None  # None where there is nothing to compare with, or it failed

    @property
    def passed(self) -> bool:
        return all(rule.passed for rule in self.rules)

    def __str__(self) -> str:
        uses = f"{_ordinal(self.uses)} decision on these test samples"
        return "\n".join([*map(str, self.rules), uses])

    def is_about(self, version: Version) -> bool:
        """Whether the version still has the model and the evaluation that were judged."""
        judged = self.name, self.version, self.model_hash, self.evaluation_hash
        current = version.name, version.number, version.model_hash, version.evaluation_hash
        return judged == current

    def require_about(self, version: Version) -> None:
        """Raise MovedError unless it has."""
        if not self.is_about(version):
            raise MovedError(
                f"the verdict is about evaluation {self.evaluation_hash[:12]}… of model "
                f"{self.model_hash[:12]}…, but {self.name} version {self.version} now has "
                f"{version.evaluation_hash[:12]}… of {version.model_hash[:12]}…: ask the gate again"
            )

    def as_dict(self) -> dict[str, Any]:
        """The verdict in JSON's types."""
        return {"passed": self.passed, **_adapter().dump_python(self, mode="json")}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From the result of `as_dict`; other keys are ignored. Raises PipelineError."""
        try:
            verdict: Self = _adapter().validate_python(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            raise PipelineError(
                f"the gate's verdict cannot be read ({first['msg']}: "
                f"{'.'.join(map(str, first['loc']))}): ask the gate again"
            ) from None
        return verdict

    def page(self) -> str:
        """The verdict for a reader, as Markdown."""
        parts = [
            f"## The gate: {'passed' if self.passed else 'refused'}",
            f"{markdown.text(self.name)} version {self.version}, "
            + (
                f"compared with version {self.against}, which was in production."
                if self.against
                else "with nothing in production to compare it with."
            ),
            _rules(self.rules),
            *(_comparison(self.comparison) if self.comparison else ()),
            _limited(self.metrics, self.production),
            f"The test samples (`{self.test_hash[:12]}`) were used for this decision, and for "
            f"{self.uses - 1 or 'none'} before it. Selecting on a test set biases its accuracy "
            "upwards; the more decisions, the more.",
        ]
        return "\n\n".join(parts)

    def log(self, client: Client, event: str) -> None:
        """Store it with the version, as JSON and as a page; `event` is its id in the ledger.

        Safe to repeat: the event names the two files.
        """
        run_id = versions.resolve(client, self.name, self.version).run_id
        stem = f"gate/{self.uses:04}-{event[:8]}"
        client.log_dict(run_id, {"event": event, **self.as_dict()}, f"{stem}.json")
        title = f"The gate about {self.name} version {self.version}"
        html = html_page.html(title, f"# {markdown.text(title)}\n\n{self.page()}", {})
        client.log_text(run_id, html, f"{stem}.html")


@cache
def _adapter() -> TypeAdapter[Any]:
    return TypeAdapter(Verdict)


def _rules(rules: tuple[Rule, ...]) -> str:
    rows = [("pass" if rule.passed else "**FAIL**", rule.name, rule.text) for rule in rules]
    return markdown.table(["", "rule", "result"], rows)


def _comparison(comparison: Comparison) -> tuple[str, str]:
    shares = comparison.difference, comparison.low, comparison.high
    difference, low, high = (f"{100 * share:+.2f}" for share in shares)
    text = (
        f"On the same {comparison.images:,} test samples the challenger has an accuracy of "
        f"{comparison.challenger:.2%} and production of {comparison.production:.2%}: {difference} "
        f"points, paired bootstrap {INTERVAL:.0%} interval {low} to {high}. The challenger alone "
        f"classifies {comparison.gained:,} samples correctly, production alone "
        f"{comparison.lost:,}; two equally good models would differ this much or more with "
        f"probability {comparison.p:.2g} (exact McNemar test)."
    )
    rows = [
        (
            recall.name,
            f"{recall.images:,}",
            f"{recall.production:.1%}",
            f"{recall.challenger:.1%}",
            f"{100 * (recall.challenger - recall.production):+.1f}",
        )
        for recall in comparison.recalls
    ]
    heading = ["class", "samples", "recall, production", "challenger", "change, points"]
    return text, markdown.table(heading, rows)


def _limited(challenger: MetricValues, production: MetricValues | None) -> str:
    """The metrics to which the gate sets a limit; a verdict of an earlier release may lack one."""
    sides = [values for values in (production, challenger) if values]
    heading = ["as evaluated", *(["production"] if production else []), "challenger"]
    rows = [
        [spec.label, *(spec.text(values.get(name)) for values in sides)]
        for name, spec in METRICS.items()
        if name in params.Gate.model_fields
    ]
    return markdown.table(heading, rows)


def _ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, …, 11th, …, 21st"""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ending}"
