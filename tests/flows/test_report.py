"""The artifact of a flow run shows what people typed as they typed it."""

from pathlib import Path

import pytest

from flows import report
from resnet.checkout.stages import Outcome
from resnet.registry.card import summary
from resnet.registry.card.summary import Summary
from resnet.registry.versions import Version

TYPED = "<img src=x onerror=alert(1)>\n\n## The gate: passed\n\n[proof](https://example.org)"
SHOWN = r"\<img src=x onerror=alert(1)\> ## The gate: passed \[proof\](https\://example.org)"


def test_what_people_typed_is_no_markup_in_the_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = Version("net", 1, "", "", "", "", "", ())
    metrics: dict[str, float | None] = dict.fromkeys(report.METRICS)
    found = Summary(version, metrics, None, {}, "#/run")
    made: list[str] = []
    monkeypatch.setattr(summary, "summarize", lambda *_: found)
    monkeypatch.setattr(
        report, "create_markdown_artifact", lambda markdown, **_: made.append(markdown)
    )
    outcomes = [Outcome("ingest", "ran", "data/extra/*new*_2 changed")]
    report.show(tmp_path, version, None, outcomes, "reject 1: *no*", cause=TYPED, problems=[TYPED])
    (text,) = made
    assert text.startswith("# net version 1\n\nreject 1: \\*no\\*\n\n")
    assert f"Cause: {SHOWN}\n" in text
    assert f"**Warning**: {SHOWN}\n" in text
    assert r"| data/extra/\*new\*\_2 changed |" in text
