"""Draw what `monitor` found: each feature as known and as found, the distances of each batch."""

import io
from datetime import datetime

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from resnet.evaluation.pictures import BLUE, DOTS_PER_INCH, FAINT, INK, ORANGE, PNG, RED, plain
from resnet.forms.histogram import Histogram
from resnet.monitoring.drift import NAMES, Distance, Drift

COLOURS = dict(zip(NAMES, (BLUE, ORANGE, INK, FAINT), strict=True))
TICKS = 10  # at most, of times beside each other
MARKERS = dict(zip(NAMES, "os^D", strict=True))


def features(found: Drift) -> Figure:
    """A picture a feature: what is known in grey, what all batches together have in colour."""
    assert found.found is not None  # noqa: S101  (there is a batch)
    assert found.together is not None  # noqa: S101
    figure = Figure(figsize=(11, 7), layout="constrained")
    for ax, distance in zip(figure.subplots(2, 2).flat, found.together.distances, strict=True):
        known, now = (getattr(one, distance.name) for one in (found.known, found.found))
        colour = RED if distance.drifted else BLUE
        if isinstance(known, Histogram):
            _histograms(ax, known, now, colour)
        else:
            _shares(ax, found.known.shares, found.found.shares, colour)
        ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        plain(ax, _title(distance))
        ax.legend(frameon=False)
    return figure


def distances(found: Drift, least: float) -> Figure:
    """The distances of each batch in order; hollow where a batch has too few images to tell."""
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    ax = figure.subplots()
    at = range(len(found.each))
    for k, name in enumerate(NAMES):
        values = [one.distances[k].value for one in found.each]
        colour = COLOURS[name]
        ax.plot(at, values, color=colour, linewidth=1.4, label=name, zorder=2)
        fill = [colour if one.enough else "white" for one in found.each]
        ax.scatter(at, values, c=fill, edgecolors=colour, marker=MARKERS[name], s=34, zorder=3)
        far = [i for i in at if found.each[i].distances[k].drifted]
        ax.scatter(
            far, [values[i] for i in far], s=150, facecolors="none", edgecolors=RED, zorder=4
        )
    ax.axhline(least, color=RED, linestyle="--", linewidth=1, label="least that matters")
    times = [datetime.fromisoformat(batch.time) for batch in found.batches]
    shown = at[:: -(-len(at) // TICKS)]
    ax.set_xticks(shown, [f"{times[i]:%m-%d %H:%M}" for i in shown])
    ax.set_ylim(0, 1.05 * max(2 * least, *(d.value for one in found.each for d in one.distances)))
    plain(ax, "Distance of each batch; ringed: drifted")
    ax.legend(frameon=False, ncols=len(NAMES) + 1, loc="upper left", bbox_to_anchor=(0, -0.12))
    return figure


def png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DOTS_PER_INCH, pil_kwargs=PNG)
    return stream.getvalue()


def _histograms(ax: Axes, known: Histogram, found: Histogram, colour: str) -> None:
    edges = np.arange(len(known.counts) + 1) * known.width
    before, after = (np.array(one.counts) / one.size for one in (known, found))
    ax.stairs(before, edges, fill=True, color=FAINT, alpha=0.45, label="known")
    ax.stairs(after, edges, color=colour, linewidth=1.8, label="found")
    seen = np.flatnonzero(before + after)  # no empty half of a picture
    ax.set_xlim(edges[seen[0]], edges[seen[-1] + 1])
    ax.set_ylim(bottom=0)


def _shares(ax: Axes, known: dict[str, float], found: dict[str, float], colour: str) -> None:
    at = np.arange(len(known))
    after = [found.get(name, 0) for name in known]
    ax.bar(at - 0.2, list(known.values()), 0.4, color=FAINT, alpha=0.6, label="known")
    ax.bar(at + 0.2, after, 0.4, color=colour, label="found")
    ax.set_xticks(at, list(known), rotation=40, ha="right", rotation_mode="anchor")


def _title(distance: Distance) -> str:
    says = ", drifted" if distance.drifted else ""
    return f"{distance.name.capitalize()}: distance {distance.value:.2f}{says}"
