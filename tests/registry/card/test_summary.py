"""The table of a flow run's artifact: the metrics of a version beside those of another."""

from resnet.evaluation.metrics import METRICS
from resnet.registry.card.summary import VersionSummary
from resnet.registry.versions import Version

VALUES = {name: 1000 + index for index, name in enumerate(METRICS)}
NONE: dict[str, float | None] = dict.fromkeys(METRICS)


def version(number: int) -> Version:
    return Version("net", number, "", "", "", "", "", ())


def table(first: dict[str, float | None], second: dict[str, float | None]) -> str:
    return VersionSummary(version(2), first, version(1), second, "run").table()


def test_every_metric_that_is_declared_is_a_row_with_its_better_direction() -> None:
    rows = table({**VALUES}, NONE).splitlines()
    assert rows[0] == "| metric | version 2 | version 1 | better |"
    assert rows[2:] == [
        f"| {spec.label} | {spec.text(VALUES[name])} | – | {spec.better or ''} |"
        for name, spec in METRICS.items()
    ]


def test_a_metric_that_neither_version_has_is_left_out() -> None:
    rows = table({**NONE, "loss": 0.5}, {**NONE, "top2": 0.75}).splitlines()
    assert rows[2:] == [
        "| loss (mean cross-entropy), nats | 0.5000 | – | lower |",
        "| top-2 accuracy | – | 75.00% | higher |",
    ]


def test_without_another_version_there_is_no_second_column() -> None:
    alone = VersionSummary(version(1), {**VALUES}, None, {}, "run").table()
    assert alone.startswith("| metric | version 1 | better |\n")
