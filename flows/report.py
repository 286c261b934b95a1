"""A flow run's artifact: the result, the gate's page, the metrics, a link to MLflow."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect.artifacts import create_markdown_artifact

from resnet.checkout.stages import StageOutcome
from resnet.pages import markdown
from resnet.registry import links
from resnet.registry.card.summary import VersionSummary, summarize
from resnet.registry.gate.verdict import Verdict
from resnet.registry.promotion.request import Request
from resnet.registry.versions import Version


@dataclass(frozen=True)
class RunReport:
    """What a flow run did about a version, for its artifact."""

    version: Version
    message: str  # the run ends with it; only the first line is shown, the gate's page has the rest
    verdict: Verdict | None = None
    stages: Sequence[StageOutcome] = ()
    request: Request | None = None  # open: it waits for an answer
    cause: str | None = None  # what the run was started for
    problems: Sequence[str] = ()  # of the ledger


def show(tree: Path, report: RunReport) -> None:
    """Make the artifact `result` of this flow run."""
    verdict = report.verdict
    summary = summarize(tree, report.version, verdict.against if verdict else None)
    create_markdown_artifact(
        key="result",
        description=str(report.version),
        markdown=page(report, summary, links.link(tree, summary.run_path), links.how_to_open(tree)),
    )


def page(report: RunReport, summary: VersionSummary, run: str, how_to_open: str = "") -> str:
    """The artifact's Markdown; `run` is the address of MLflow's page of the version's run."""
    version, verdict, request = report.version, report.verdict, report.request
    return "\n\n".join(
        [
            f"# {markdown.text(version.name)} version {version.number}",
            markdown.text(report.message.partition("\n")[0]),
            *([f"Cause: {markdown.text(report.cause)}"] if report.cause else []),
            *(f"**Warning**: {markdown.text(problem)}" for problem in report.problems),
            *(["## To answer", f"```sh\n{request.answers()}\n```"] if request else []),
            *([verdict.page()] if verdict else []),
            "## Metrics",
            summary.table(),
            *(["## Stages", _stages(report.stages)] if report.stages else []),
            links.annotated(f"[The run in MLflow, with its model card]({run})", how_to_open),
        ]
    )


def _stages(outcomes: Sequence[StageOutcome]) -> str:
    return markdown.table(
        ["stage", "outcome", "seconds", "why"],
        [[one.stage, one.action, f"{one.seconds:.0f}", markdown.text(one.why)] for one in outcomes],
    )
