"""The artifact of a flow run shows what people typed as they typed it."""

from flows import report
from flows.report import RunReport
from resnet.checkout.stages import StageOutcome
from resnet.evaluation.metrics import METRICS
from resnet.registry.card.summary import VersionSummary
from resnet.registry.versions import Version

TYPED = "<img src=x onerror=alert(1)>\n\n## The gate: passed\n\n[proof](https://example.org)"
SHOWN = r"\<img src=x onerror=alert(1)\> ## The gate: passed \[proof\](https\://example.org)"


def test_what_people_typed_is_no_markup_in_the_artifact() -> None:
    version = Version("net", 1, "", "", "", "", "", ())
    run_report = RunReport(
        version,
        "reject 1: *no*\nthe rest",
        stages=[StageOutcome("ingest", "ran", "data/extra/*new*_2 changed")],
        cause=TYPED,
        problems=[TYPED],
    )
    summary = VersionSummary(version, dict.fromkeys(METRICS), None, {}, "run")
    page = report.page(run_report, summary, "http://127.0.0.1:5000/#/run", "start it")
    assert page.startswith("# net version 1\n\nreject 1: \\*no\\*\n\n")
    assert "the rest" not in page
    assert f"Cause: {SHOWN}\n" in page
    assert f"**Warning**: {SHOWN}\n" in page
    assert r"| data/extra/\*new\*\_2 changed |" in page
    assert page.endswith("(http://127.0.0.1:5000/#/run) (start it)")
