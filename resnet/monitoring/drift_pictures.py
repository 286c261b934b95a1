"""Figures of drift: each feature in the reference and in scored samples, each batch's distances."""

import io
from datetime import datetime

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from resnet.evaluation.pictures import BLUE, DOTS_PER_INCH, FAINT, INK, ORANGE, PNG, RED, plain
from resnet.forms.histogram import Histogram
from resnet.monitoring.drift import Distance, Drift

MAX_TICKS = 10  # times on the axis
COLOURS, MARKERS = (BLUE, ORANGE, INK, FAINT), "os^D"  # of the features


def features(drift: Drift) -> Figure:
    """One panel per feature: the reference in grey, all batches together in colour."""
    assert drift.scored is not None  # noqa: S101  (there is a batch)
    assert drift.together is not None  # noqa: S101
    figure = Figure(figsize=(11, 7), layout="constrained")
    for ax, distance in zip(figure.subplots(2, 2).flat, drift.together.distances, strict=True):
        colour = RED if distance.drifted else BLUE
        if distance.name == "classes":
            _shares(ax, drift.reference.shares, drift.scored.shares, colour)
        else:
            before, after = (one.histograms for one in (drift.reference, drift.scored))
            _histograms(ax, before[distance.name], after[distance.name], colour)
        ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        plain(ax, _title(distance))
        ax.legend(frameon=False)
    return figure


def distances(drift: Drift, minimum: float) -> Figure:
    """The distances of each batch in order; hollow if the batch has too few samples to compare."""
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    ax = figure.subplots()
    at = range(len(drift.each))
    names = drift.reference.names
    for k, (name, colour, marker) in enumerate(zip(names, COLOURS, MARKERS, strict=True)):
        values = [one.distances[k].value for one in drift.each]
        ax.plot(at, values, color=colour, linewidth=1.4, label=name, zorder=2)
        fill = [colour if one.enough else "white" for one in drift.each]
        ax.scatter(at, values, c=fill, edgecolors=colour, marker=marker, s=34, zorder=3)
        far = [i for i in at if drift.each[i].distances[k].drifted]
        ax.scatter(
            far, [values[i] for i in far], s=150, facecolors="none", edgecolors=RED, zorder=4
        )
    ax.axhline(minimum, color=RED, linestyle="--", linewidth=1, label="minimum for drift")
    times = [datetime.fromisoformat(batch.time) for batch in drift.batches]
    shown = at[:: -(-len(at) // MAX_TICKS)]
    ax.set_xticks(shown, [f"{times[i]:%m-%d %H:%M}" for i in shown])
    ax.set_ylim(0, 1.05 * max(2 * minimum, *(d.value for one in drift.each for d in one.distances)))
    plain(ax, "Distance of each batch; ringed: drifted")
    ax.legend(frameon=False, ncols=len(names) + 1, loc="upper left", bbox_to_anchor=(0, -0.12))
    return figure


def png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DOTS_PER_INCH, pil_kwargs=PNG)
    return stream.getvalue()


def _histograms(ax: Axes, reference: Histogram, scored: Histogram, colour: str) -> None:
    edges = np.arange(len(reference.counts) + 1) * reference.width
    before, after = (np.array(one.counts) / one.size for one in (reference, scored))
    ax.stairs(before, edges, fill=True, color=FAINT, alpha=0.45, label="reference")
    ax.stairs(after, edges, color=colour, linewidth=1.8, label="scored")
    occupied = np.flatnonzero(before + after)  # so that no half of the picture is empty
    ax.set_xlim(edges[occupied[0]], edges[occupied[-1] + 1])
    ax.set_ylim(bottom=0)


def _shares(ax: Axes, reference: dict[str, float], scored: dict[str, float], colour: str) -> None:
    at = np.arange(len(reference))
    after = [scored.get(name, 0) for name in reference]
    ax.bar(at - 0.2, list(reference.values()), 0.4, color=FAINT, alpha=0.6, label="reference")
    ax.bar(at + 0.2, after, 0.4, color=colour, label="scored")
    ax.set_xticks(at, list(reference), rotation=40, ha="right", rotation_mode="anchor")


def _title(distance: Distance) -> str:
    drifted = ", drifted" if distance.drifted else ""
    return f"{distance.name.capitalize()}: distance {distance.value:.2f}{drifted}"
