"""Figures of an evaluation: curves, confusion matrix, reliability diagram, confident mistakes.

Each function returns a new figure, made without pyplot's global state.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from resnet.data.profile import Profile
from resnet.evaluation.records import Predictions
from resnet.evaluation.score import Scores
from resnet.forms import pictures as samples

INK, FAINT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
BLUE, ORANGE, RED = "#2563eb", "#ea8a1a", "#c81e1e"
DOTS_PER_INCH = 130
# A quarter larger than with Pillow's own level, and written three times as fast.
PNG = {"compress_level": 1}


def curves(history: pd.DataFrame) -> Figure:
    """Loss, accuracy and learning rate by epoch; `history` has the columns of `paths.history`."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    loss, accuracy, rate = figure.subplots(1, 3, sharex=True)
    for ax, quantity in ((loss, "loss"), (accuracy, "accuracy")):
        _curve(ax, history, f"train_{quantity}", "training", ORANGE)
        _curve(ax, history, f"validation_{quantity}", "validation", BLUE)
        ax.legend(frameon=False)
    _curve(rate, history, "learning_rate", "learning rate", FAINT)
    rate.set_ylim(bottom=0)
    _in_percent(accuracy.yaxis)
    for ax, title in ((loss, "Loss"), (accuracy, "Accuracy"), (rate, "Learning rate")):
        plain(ax, title)
        ax.set_xlabel("epoch", color=INK)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def confusion(scores: Scores, classes: Sequence[str]) -> Figure:
    """The confusion matrix, coloured by the shares of a row: hits in blue, mistakes in orange."""
    share_kk = scores.confusion_kk / scores.confusion_kk.sum(axis=1, keepdims=True).clip(min=1)
    hit_kk = np.eye(len(classes), dtype=bool)
    worst = max(float(share_kk[~hit_kk].max(initial=0)), 0.01)
    figure = Figure(figsize=(8.6, 7.8), layout="constrained")
    ax = figure.subplots()
    ax.imshow(np.ma.array(share_kk, mask=~hit_kk), cmap="Blues", vmin=0, vmax=1.25)
    ax.imshow(np.ma.array(share_kk, mask=hit_kk), cmap="Oranges", vmin=0, vmax=1.5 * worst)
    for (row, column), count in np.ndenumerate(scores.confusion_kk):
        dark = share_kk[row, column] > (0.7 if row == column else 0.9 * worst)
        ax.text(
            *(column, row, str(count) if count else "·"),
            ha="center",
            va="center",
            color="white" if dark else INK if count else FAINT,
            weight="bold" if row == column else "normal",
        )
    plain(ax, f"{_percent(scores.accuracy)} of {scores.images:,} test samples are correct")
    ax.set_xticks(range(len(classes)), classes, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(classes)), classes)
    ax.set_xlabel("predicted", color=INK)
    ax.set_ylabel("actual", color=INK)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    return figure


def reliability(scores: Scores) -> Figure:
    """The reliability diagram (accuracy by confidence) above the histogram of the confidence."""
    bins = scores.reliability
    width = bins["high"] - bins["low"]
    figure = Figure(figsize=(6.4, 7.2), layout="constrained")
    upper, lower = figure.subplots(2, height_ratios=[3, 1], sharex=True)
    bar: dict[str, Any] = {"width": width, "align": "edge", "edgecolor": "white"}
    upper.bar(bins["low"], bins["accuracy"], color=BLUE, alpha=0.45, label="accuracy", **bar)
    upper.vlines(
        bins["confidence"],
        bins["confidence"],
        bins["accuracy"],
        color=RED,
        linewidth=3,
        label="gap to the mean confidence",
    )
    upper.plot([0, 1], [0, 1], color=FAINT, linestyle="--", label="perfectly calibrated")
    upper.set(xlim=(0, 1), ylim=(0, 1))
    _in_percent(upper.yaxis)
    upper.legend(frameon=False, loc="upper left")
    plain(upper, f"Confidence and accuracy: calibration error {_percent(scores.calibration_error)}")

    lower.bar(bins["low"], bins["images"] / scores.images, color=FAINT, **bar)
    mean_confidence = (bins["confidence"] * bins["images"]).sum() / scores.images
    for value, name, colour in (
        (scores.accuracy, "accuracy", BLUE),
        (mean_confidence, "mean confidence", RED),
    ):
        lower.axvline(value, color=colour, linewidth=1.5, label=f"{name} {_percent(value)}")
    lower.legend(frameon=False, loc="upper left")
    _in_percent(lower.yaxis)
    _in_percent(lower.xaxis)
    plain(lower, "Images")
    lower.set_xlabel("confidence: probability of the predicted class", color=INK)
    return figure


def mistakes(
    images_nhwc: np.ndarray, predictions: Predictions, profile: Profile, count: int
) -> Figure:
    """The `count` most confident mistakes as pictures, the most confident first."""
    wrong = np.flatnonzero(~predictions.correct_n)
    shown = wrong[np.argsort(-predictions.confidence_n[wrong], kind="stable")][:count]
    columns = max(1, int(np.ceil(np.sqrt(count))))
    rows = max(1, -(-len(shown) // columns))
    width, height = 1.9 * columns, 2.3 * rows + 0.5  # inches
    # A constrained layout of two dozen pictures takes three times as long as this fixed one.
    figure = Figure(figsize=(width, height))
    figure.suptitle(
        f"The {len(shown)} most confident of {len(wrong):,} mistakes"
        if len(wrong)
        else "No mistakes",
        y=1 - 0.1 / height,
        **{"color": INK, "weight": "bold"},
    )
    figure.subplots_adjust(
        left=0.1 / width,
        right=1 - 0.1 / width,
        bottom=0.1 / height,
        top=1 - 0.9 / height,
        wspace=0.12,
        hspace=0.4,
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    show = samples.of(profile.form).show
    for ax in grid.flat:
        ax.axis("off")
    for ax, index in zip(grid.flat, shown, strict=False):
        show(ax, images_nhwc[index])
        predicted = profile.classes[predictions.predicted_n[index]]
        confidence = _percent(float(predictions.confidence_n[index]))
        ax.set_title(f"predicted {predicted} {confidence}", color=RED, fontsize=9, pad=14)
        actual = f"actual {profile.classes[predictions.labels_n[index]]}"
        ax.text(0.5, 1.03, actual, transform=ax.transAxes, ha="center", color=INK, fontsize=9)
    return figure


def plain(ax: Axes, title: str) -> None:
    """Give `ax` a title at the left, a faint grid and no frame: the style of every figure."""
    ax.set_title(title, loc="left", color=INK, weight="bold", fontsize=11, pad=10)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GRID)
    ax.tick_params(colors=INK, length=0)
    ax.grid(color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)


def _curve(ax: Axes, history: pd.DataFrame, column: str, label: str, colour: str) -> None:
    """A line with one point per epoch, where the column holds anything."""
    points = history[["epoch", column]].dropna()
    if not points.empty:
        ax.plot(points["epoch"], points[column], ".-", color=colour, linewidth=1.8, label=label)


def _in_percent(axis: Axis) -> None:
    axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
