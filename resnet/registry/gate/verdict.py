"""The gate's answer about a version: as a value, as JSON, as a page, and kept with the version."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from resnet.errors import MovedError, PipelineError
from resnet.evaluation.comparison import INTERVAL, Comparison
from resnet.pages import html_page, markdown
from resnet.registry import versions
from resnet.registry.gate.rules import Measured, Rule
from resnet.registry.store import Client
from resnet.registry.versions import Version


@dataclass(frozen=True)
class Verdict:
    """What the gate said of one version: passed where every rule holds."""

    name: str
    version: int
    against: int | None  # the version in production that it was compared with
    key: str  # what it was made from: see `gate.decision_key`
    rules: tuple[Rule, ...]
    model_hash: str  # of the version, when it was judged
    evaluation_hash: str
    test_hash: str  # of the test images
    uses: int  # decisions made with these test images, this one among them
    metrics: Measured
    production: Measured | None  # as recorded, None what it owes to other test images than these
    comparison: Comparison | None  # None where there is nothing to compare with, or it failed

    @property
    def passed(self) -> bool:
        return all(rule.passed for rule in self.rules)

    def __str__(self) -> str:
        uses = f"{_ordinal(self.uses)} decision on these test images"
        return "\n".join([*map(str, self.rules), uses])

    def is_about(self, version: Version) -> bool:
        """Whether the version still has the model and the evaluation that were judged."""
        judged = self.name, self.version, self.model_hash, self.evaluation_hash
        found = version.name, version.number, version.model_hash, version.evaluation_hash
        return judged == found

    def must_be_about(self, version: Version) -> None:
        """Raise MovedError unless it is."""
        if not self.is_about(version):
            raise MovedError(
                f"the gate was asked about {self.name} version {self.version} with evaluation "
                f"{self.evaluation_hash[:12]}… of model {self.model_hash[:12]}…, and by now it has "
                f"{version.evaluation_hash[:12]}… of {version.model_hash[:12]}…: ask the gate again"
            )

    def as_dict(self) -> dict[str, Any]:
        """All of it, of JSON's types alone."""
        return {"passed": self.passed, **_adapter().dump_python(self, mode="json")}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From what `as_dict` gave; other keys are passed over. Raises PipelineError."""
        try:
            found: Self = _adapter().validate_python(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            raise PipelineError(
                f"no verdict of the gate can be read here ({first['msg']}: "
                f"{'.'.join(map(str, first['loc']))}): ask the gate again"
            ) from None
        return found

    def page(self) -> str:
        """The verdict for a reader, as Markdown."""
        parts = [
            f"## The gate: {'passed' if self.passed else 'refused'}",
            f"{markdown.text(self.name)} version {self.version}, "
            + (
                f"beside version {self.against}, which was in production."
                if self.against
                else "with nothing in production to compare it with."
            ),
            _rules(self.rules),
            *(_comparison(self.comparison) if self.comparison else ()),
            _costs(self.metrics, self.production),
            f"The test images (`{self.test_hash[:12]}`) were used for this decision, and for "
            f"{self.uses - 1 or 'none'} before it. What is chosen on them was partly lucky on "
            "them: its accuracy is slightly optimistic, and the more so the more they decide.",
        ]
        return "\n\n".join(parts)

    def log(self, client: Client, event: str) -> None:
        """Keep it with the version, as JSON and as a page; `event` is the ledger's id of it.

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
    return markdown.table(["", "rule", "found"], rows)


def _comparison(found: Comparison) -> tuple[str, str]:
    points = [f"{100 * share:+.2f}" for share in (found.difference, found.low, found.high)]
    text = (
        f"On the same {found.images:,} test images the challenger has {found.challenger:.2%} right "
        f"and production {found.production:.2%}: {points[0]} points, paired bootstrap "
        f"{INTERVAL:.0%} interval {points[1]} to {points[2]}. {found.gained:,} images are right "
        f"with the challenger alone, {found.lost:,} with production alone; two equally good models "
        f"would differ so much or more with probability {found.p:.2g} (exact McNemar test)."
    )
    rows = [
        (
            one.name,
            f"{one.images:,}",
            f"{one.production:.1%}",
            f"{one.challenger:.1%}",
            f"{100 * (one.challenger - one.production):+.1f}",
        )
        for one in found.recalls
    ]
    heading = ["class", "images", "recall, production", "challenger", "change, points"]
    return text, markdown.table(heading, rows)


def _costs(challenger: Measured, production: Measured | None) -> str:
    rows = [
        ("calibration error", "calibration_error", "{:.1%}"),
        ("latency of one image, ms", "latency_ms", "{:.2f}"),
        ("size of the model's file, bytes", "size_bytes", "{:,}"),
    ]
    sides = [one for one in (production, challenger) if one]
    heading = ["as evaluated", *(["production"] if production else []), "challenger"]
    return markdown.table(
        heading,
        [[text, *(number(form, one[name]) for one in sides)] for text, name, form in rows],
    )


def number(form: str, value: float | None) -> str:
    """For a reader; a dash where there is none."""
    return "–" if value is None else form.format(value)


def _ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, …, 11th, …, 21st"""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ending}"
