"""The metrics of a model: each is declared here once, with what a reader has to know of it.

Whatever shows, sorts or compares metrics goes through `METRICS`: a new metric is declared here and
computed in resnet.evaluation.evaluate, and nothing else changes. Loads no library.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from math import isfinite
from typing import Annotated, Literal, TypeAlias, get_type_hints

THROUGHPUT_BATCH = 256

MetricValues: TypeAlias = Mapping[str, int | float | None]
"""Metrics by name; None for what was not measured and for what is no finite number."""


@dataclass(frozen=True)
class MetricSpec:
    """How a metric is shown, and what it is a metric of."""

    label: str  # with its unit
    format: str  # of `str.format`
    better: Literal["higher", "lower"] | None  # None where neither is
    of: Literal["model", "test data"]  # a metric of the model is the same on any test data
    optional: bool = False  # an evaluation may be without it

    def text(self, value: float | None) -> str:
        """The value as a reader sees it; a dash where there is none."""
        return "–" if value is None else self.format.format(value)


_model = partial(MetricSpec, of="model")
_data = partial(MetricSpec, of="test data")


@dataclass(frozen=True)
class Metrics:
    """Every number about one model on one test split; shares are 0 to 1.

    The names, in this order, are the keys of metrics.json and MLflow's names of the metrics.
    """

    accuracy: Annotated[float, _data("accuracy", "{:.2%}", "higher")]
    accuracy_low: Annotated[
        float, _data("accuracy, lower end of the 95 % interval", "{:.2%}", "higher")
    ]
    accuracy_high: Annotated[
        float, _data("accuracy, upper end of the 95 % interval", "{:.2%}", "higher")
    ]
    loss: Annotated[float, _data("loss (mean cross-entropy), nats", "{:.4f}", "lower")]
    top2: Annotated[float, _data("top-2 accuracy", "{:.2%}", "higher")]
    calibration_error: Annotated[float, _data("calibration error", "{:.1%}", "lower")]
    parameters: Annotated[int, _model("trainable parameters", "{:,}", "lower")]
    flops: Annotated[int, _model("FLOPs per sample", "{:,}", "lower")]
    size_bytes: Annotated[int, _model("size of the model's file, bytes", "{:,}", "lower")]
    latency_ms: Annotated[float, _model("latency of one sample, ms", "{:.2f}", "lower")]
    throughput: Annotated[
        float, _model(f"samples per second, batch of {THROUGHPUT_BATCH}", "{:,.0f}", "higher")
    ]
    correct: Annotated[int, _data("test samples classified correctly", "{:,}", "higher")]
    images: Annotated[int, _data("test samples", "{:,}", None)]
    # By which the published model divides its logits; None where there were no validation samples.
    temperature: Annotated[
        float | None, _model("temperature (fitted to validation samples)", "{:.2f}", None)
    ] = None
    # Of earlier releases alone, whose models were published without the temperature: the error that
    # it would have given them.
    calibration_error_scaled: Annotated[
        float | None, _data("calibration error at that temperature", "{:.1%}", "lower")
    ] = None
    # From annotations of the test samples; None where `evaluate.annotations` does not list them.
    accuracy_near_duplicates: Annotated[
        float | None, _data("accuracy on near-duplicates of training images", "{:.2%}", "higher")
    ] = None
    accuracy_without_near_duplicates: Annotated[
        float | None, _data("accuracy without near-duplicates", "{:.2%}", "higher")
    ] = None
    accuracy_without_label_errors: Annotated[
        float | None, _data("accuracy without label errors", "{:.2%}", "higher")
    ] = None
    accuracy_without_both: Annotated[
        float | None, _data("accuracy without near-duplicates and label errors", "{:.2%}", "higher")
    ] = None
    human_cross_entropy: Annotated[
        float | None, _data("cross-entropy against human labels, nats", "{:.4f}", "lower")
    ] = None
    human_entropy: Annotated[
        float | None, _data("entropy of human labels, the least possible, nats", "{:.4f}", None)
    ] = None

    def by_name(self) -> MetricValues:
        """The metrics by name. What JSON has as null, NaN or Infinity is None."""
        return {
            name: value if isinstance(value, int | float) and isfinite(value) else None
            for name, value in asdict(self).items()
        }


def _specs() -> dict[str, MetricSpec]:
    hints = get_type_hints(Metrics, include_extras=True)
    return {
        field.name: replace(hints[field.name].__metadata__[0], optional=field.default is None)
        for field in fields(Metrics)
    }


METRICS: Mapping[str, MetricSpec] = _specs()
"""The spec of each metric, by name, in the order of `Metrics`."""

HEADLINES = ("accuracy", "top2", "loss", "calibration_error", "parameters", "latency_ms")


def headlines(values: MetricValues) -> MetricValues:
    """The few metrics that a table of many evaluations has room for, such as `dvc exp show`."""
    return {name: values[name] for name in HEADLINES}


def is_calibrated(values: MetricValues) -> bool:
    """Whether the temperature is in the published model; earlier releases only named it."""
    named = values.get("temperature") is not None
    return named and values.get("calibration_error_scaled") is None


def of_the_model(values: MetricValues) -> MetricValues:
    """The same metrics with None for those that depend on the test data."""
    return {name: value if METRICS[name].of == "model" else None for name, value in values.items()}
