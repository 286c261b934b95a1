"""The flow run's artifact: the result, the metrics against production, the link to MLflow."""

from collections.abc import Iterable
from pathlib import Path

from prefect.artifacts import create_markdown_artifact

from resnet import servers
from resnet.registry import store, summary
from resnet.registry.promotion import Decision
from resnet.registry.summary import Summary
from resnet.registry.versions import Version
from resnet.stages import Outcome

METRICS = {
    "accuracy": "{:.2%}",
    "top2": "{:.2%}",
    "loss": "{:.4f}",
    "calibration_error": "{:.2%}",
    "parameters": "{:,}",
    "latency_ms": "{:.2f}",
    "throughput": "{:,.0f}",
}


def show(
    tree: Path,
    version: Version,
    decision: Decision | None,
    outcomes: Iterable[Outcome],
    result: str,
) -> None:
    """Make the artifact `result` of this flow run."""
    event = decision.event if decision else None
    found = summary.summarize(tree, version, event.version_from if event else None)
    create_markdown_artifact(
        key="result",
        description=str(version),
        markdown="\n\n".join(
            [
                f"# {version.name} version {version.number}",
                result.replace("\n", "\n\n"),
                _metrics(found),
                _stages(outcomes),
                f"[The run in MLflow]({_pages(tree)}/{found.run_path})",
            ]
        ),
    )


def _metrics(found: Summary) -> str:
    """A table with a row a metric; production's column only where there is another version."""
    names = [f"version {one.number}" for one in (found.version, found.other) if one]
    rows = [
        [name, *(text.format(side[name]) for side in (found.metrics, found.other_metrics) if side)]
        for name, text in METRICS.items()
    ]
    return _table(["metric", *names], rows)


def _stages(outcomes: Iterable[Outcome]) -> str:
    return _table(
        ["stage", "outcome", "seconds", "why"],
        [[one.stage, one.action, f"{one.seconds:.0f}", one.why] for one in outcomes],
    )


def _table(heading: list[str], rows: Iterable[list[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _pages(root: Path) -> str:
    """The address of MLflow's pages: the user's server, or where `make ui` puts the project's."""
    uri = store.tracking_uri(root)
    return uri if uri.startswith("http") else f"http://{servers.HOST}:{servers.MLFLOW_PORT}"
