"""A flow run's artifact: the result, the gate's page, the metrics, the link to MLflow."""

import json
from collections.abc import Sequence
from pathlib import Path

from prefect.artifacts import create_markdown_artifact

from resnet.checkout.stages import Outcome
from resnet.pages import markdown
from resnet.registry import store
from resnet.registry.card import summary
from resnet.registry.card.summary import Summary
from resnet.registry.gate.verdict import Verdict
from resnet.registry.promotion.request import Request
from resnet.registry.versions import Version

METRICS = {
    "accuracy": "{:.2%}",
    "top2": "{:.2%}",
    "loss": "{:.4f}",
    "calibration_error": "{:.2%}",
    "calibration_error_scaled": "{:.2%}",
    "temperature": "{:.2f}",
    "accuracy_near_duplicates": "{:.2%}",
    "accuracy_without_near_duplicates": "{:.2%}",
    "accuracy_without_label_errors": "{:.2%}",
    "accuracy_without_both": "{:.2%}",
    "human_cross_entropy": "{:.4f}",
    "human_entropy": "{:.4f}",
    "parameters": "{:,}",
    "latency_ms": "{:.2f}",
    "throughput": "{:,.0f}",
}


def show(
    tree: Path,
    version: Version,
    verdict: Verdict | None,
    outcomes: Sequence[Outcome],
    result: str,
    request: Request | None = None,
    cause: str | None = None,
    problems: Sequence[str] = (),
) -> None:
    """Make the artifact `result` of this flow run, from the message that the run ends with.

    `request` is one that waits for its answer, `cause` what the run answers to, `problems` those of
    the ledger.
    """
    found = summary.summarize(tree, version, verdict.against if verdict else None)
    headline = result.partition("\n")[0]  # the rest is what the gate said, which its page says
    create_markdown_artifact(
        key="result",
        description=str(version),
        markdown="\n\n".join(
            [
                f"# {markdown.text(version.name)} version {version.number}",
                markdown.text(headline),
                *([f"Cause: {markdown.text(cause)}"] if cause else []),
                *(f"**Warning**: {markdown.text(problem)}" for problem in problems),
                *(["## To answer", f"```sh\n{answers(request)}\n```"] if request else []),
                *([verdict.page()] if verdict else []),
                "## Metrics",
                _metrics(found),
                *(["## Stages", _stages(outcomes)] if outcomes else []),
                f"[The run in MLflow, with its model card]({store.pages(tree)}/{found.run_path})",
            ]
        ),
    )


def answers(request: Request) -> str:
    """What answers an open request, typed in a shell; the deployment has a form as well."""
    values = {
        "version": request.event.version,
        "model": request.event.model,
        "action": "approve",
        "reason": "…",
    }
    params = json.dumps(values, ensure_ascii=False)
    deployment = f"prefect deployment run promote/by-hand --params '{params}'"
    return "\n".join([*request.commands(), deployment])


def _metrics(found: Summary) -> str:
    """A table with a row a metric; production's column only where there is another version.

    A metric that neither version has is left out.
    """
    names = [f"version {one.number}" for one in (found.version, found.other) if one]
    sides = [side for side in (found.metrics, found.other_metrics) if side]
    rows = [
        [name, *("–" if side[name] is None else text.format(side[name]) for side in sides)]
        for name, text in METRICS.items()
        if any(side[name] is not None for side in sides)
    ]
    return markdown.table(["metric", *names], rows)


def _stages(outcomes: Sequence[Outcome]) -> str:
    return markdown.table(
        ["stage", "outcome", "seconds", "why"],
        [[one.stage, one.action, f"{one.seconds:.0f}", markdown.text(one.why)] for one in outcomes],
    )
