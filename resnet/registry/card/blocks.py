"""What the sections of a model card are made of: tables, figures, intervals; values → Markdown."""

from collections.abc import Iterator, Sequence

from resnet.evaluation.metrics import METRICS, MetricValues, is_calibrated
from resnet.pages import html_page, markdown
from resnet.registry.card.content import CardContent

CAPTIONS = {  # by the names of the pictures' files
    "curves": "Loss, accuracy and learning rate by epoch",
    "confusion": "Test samples by actual and predicted class",
    "reliability": "Accuracy by confidence, compared with perfect calibration",
    "mistakes": "The misclassified test samples with the highest confidence",
}


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """A table of names and values, without a heading."""
    return markdown.table(["", ""], rows)


def picture(content: CardContent, name: str) -> Iterator[str]:
    """A figure with its caption; nothing where the version has none."""
    if name in content.pictures:
        yield html_page.picture(name, CAPTIONS[name])


def text(value: float | None, form: str) -> str:
    """A number as `form` shows it; a dash where there is none."""
    return "–" if value is None else form.format(value)


def accuracy(metrics: MetricValues) -> tuple[str, str]:
    """The test accuracy, and its interval."""
    text = METRICS["accuracy"].text(metrics["accuracy"])
    return text, f"95 % interval {interval(metrics['accuracy_low'], metrics['accuracy_high'])}"


def interval(low: float | None, high: float | None, digits: int = 2) -> str:
    return "–" if low is None or high is None else f"{low:.{digits}%} to {high:.{digits}%}"


def calibration(metrics: MetricValues, validation: int | None) -> str:
    """Whether the probabilities are calibrated, and why not.

    `validation` samples were held out; None where that is not recorded.
    """
    if is_calibrated(metrics):
        number = "" if validation is None else f"{validation:,} "
        return (
            "Its probabilities are calibrated: the logits are divided by a temperature of "
            f"{METRICS['temperature'].text(metrics['temperature'])}, fitted to {number}"
            "validation samples."
        )
    why = (
        "there were no validation samples"
        if validation == 0
        else "it was published without a temperature"
    )
    return f"Its probabilities are not calibrated: {why}."
