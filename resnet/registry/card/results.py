"""The sections of a model card about its evaluation, that of a classifier; content → Markdown."""

from collections.abc import Iterator

from resnet.evaluation.metrics import METRICS
from resnet.pages import markdown
from resnet.registry import portable_forms
from resnet.registry.card import blocks
from resnet.registry.card.content import CardContent


def sections(content: CardContent) -> Iterator[str]:
    yield from _results(content)
    yield from _per_class(content)
    yield from _calibration(content)
    yield from _mistakes(content)
    yield from _scoring(content)


def portable(content: CardContent) -> Iterator[str]:
    """The portable forms, and how each compares with the Keras model on the test samples."""
    report = content.portable
    if report is None or not report.forms:
        return
    yield "## Portable forms"
    yield markdown.table(
        ["form", "admitted", "accuracy", "same predictions", "one sample", "bytes"],
        [
            [
                f"`{portable_forms.FOLDER}/{form.file}`",
                markdown.text(form.reason or "yes"),
                blocks.text(form.accuracy, "{:.2%}"),
                blocks.text(form.agreement, "{:.2%}"),
                blocks.text(form.latency_ms, "{:.2f} ms"),
                blocks.text(form.size_bytes, "{:,}"),
            ]
            for form in report.forms
        ],
    )
    yield (
        "Those that were admitted are artifacts of the run: the same arrays in, nearly the same "
        "probabilities out, by ONNX Runtime alone. Each was compared with `model.keras` on all "
        f"test samples ({markdown.text(report.cpu)})."
    )


def _results(content: CardContent) -> Iterator[str]:
    metrics = content.metrics
    if not metrics:
        return
    yield "## Results"
    yield blocks.pairs(
        [
            (spec.label, spec.text(metrics[name]))
            for name, spec in METRICS.items()
            if spec.of == "test data" and not (spec.optional and metrics[name] is None)
        ]
    )
    if len(content.subsets) > 1:
        yield markdown.table(
            ["test samples", "number", "accuracy", "95 % interval"],
            [
                [
                    subset.name,
                    f"{subset.images:,}",
                    f"{subset.accuracy:.2%}",
                    blocks.interval(subset.low, subset.high),
                ]
                for subset in content.subsets
            ],
        )
    yield (
        "The intervals (Wilson 1927) are over the test samples alone: they do not say how much the "
        "accuracy would differ after a training with another seed."
    )


def _per_class(content: CardContent) -> Iterator[str]:
    if not content.classes:
        return
    yield "## Per class"
    yield markdown.table(
        ["class", content.noun, "recall", "95 % interval", "precision", "F1"],
        [
            [
                score.name,
                f"{score.images:,}",
                f"{score.recall:.1%}",
                blocks.interval(score.recall_low, score.recall_high, digits=1),
                f"{score.precision:.1%}",
                f"{score.f1:.1%}",
            ]
            for score in content.classes
        ],
    )
    yield from blocks.picture(content, "confusion")


def _calibration(content: CardContent) -> Iterator[str]:
    metrics = content.metrics
    if not metrics:
        return

    def shown(name: str) -> str:
        return METRICS[name].text(metrics[name])

    yield "## Calibration"
    counts = content.profile.counts  # empty where the profile cannot be read
    images = sum(counts.get("validation", {}).values()) if counts else None
    text = f"{blocks.calibration(metrics, images)} "
    text += f"The calibration error is {shown('calibration_error')}."
    if metrics["calibration_error_scaled"] is not None:  # of an earlier release
        text += (
            f" With the logits divided by {shown('temperature')}, which fits the validation "
            f"samples best, it would be {shown('calibration_error_scaled')}."
        )
    yield text
    yield from blocks.picture(content, "reliability")


def _scoring(content: CardContent) -> Iterator[str]:
    """How its predictions in bfloat16 compare with float32's, if that was found out."""
    scoring = content.scoring
    if scoring is None or scoring.agreement is None:
        return
    yield f"## Scoring many {content.noun}"
    yield (
        f"`resnet predict` scores in {scoring.precision} on {markdown.text(scoring.cpu)}, and in "
        f"float32 elsewhere: {markdown.text(scoring.reason)}. The results above are float32's."
        if scoring.precision == "bfloat16"
        else f"`resnet predict` scores in float32: {markdown.text(scoring.reason)}."
    )


def _mistakes(content: CardContent) -> Iterator[str]:
    if "mistakes" in content.pictures:
        yield "## Most confident mistakes"
        yield from blocks.picture(content, "mistakes")
