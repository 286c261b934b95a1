"""What `monitor` found, for a reader: lines for a terminal, Markdown, a page with pictures."""

from datetime import datetime

from resnet import params
from resnet.monitoring.drift import NAMES, Comparison, Drift
from resnet.monitoring.features import Features
from resnet.monitoring.scored_batches import Batch
from resnet.pages import html_page, markdown
from resnet.pages.text_table import aligned
from resnet.registry.versions import Version

HEADING = ("feature", "known", "found", "distance", "p", "drifted")
PICTURES = {  # what they show, by name
    "features": "Each feature, as known and as found",
    "distances": "The distances of each batch",
}
MEANS = {"confidence": "{:.1%}", "brightness": "{:.1f}", "contrast": "{:.1f}"}


def headline(version: Version, found: Drift) -> str:
    """The verdict in a sentence."""
    about = f"{_batches(found)} that {version.name} version {version.number} has scored"
    if found.verdict == "Too few images":
        return f"Too few images: {about}"
    if not found.drifted:
        return f"Quiet: {about} are like what it knows"
    far = ", ".join(f"{name} ({value:.2f})" for name, value in found.drifted.items())
    return f"Drifted: {about} differ from what it knows in {far}"


def text(version: Version, found: Drift) -> str:
    """The verdict, and a line a feature."""
    rows = [HEADING, *_rows(found)]
    if len(rows) == 1:
        return headline(version, found)
    return "\n".join([headline(version, found), *aligned(rows)])


def summary(version: Version, found: Drift) -> str:
    """The verdict, all batches together, and each, as Markdown."""
    return "\n\n".join([headline(version, found) + ".", *_tables(found)])


def html(version: Version, found: Drift, rules: params.Monitor) -> str:
    """All of it as a page for a browser, with pictures in it."""
    title = f"{version.name} version {version.number}: {found.verdict.lower()}"
    together, *each = _tables(found) or [""]
    pictures = _pictures(found, rules)
    shown = [html_page.picture(name, PICTURES[name]) for name in pictures]
    parts = [
        f"# {title}",
        headline(version, found) + ".",
        together,
        *shown[:1],
        *(["## Batch by batch"] if each else []),
        *shown[1:],
        *each,
        "## How to read this",
        _explained(found, rules),
    ]
    return html_page.html(title, "\n\n".join(filter(None, parts)), pictures)


def _batches(found: Drift) -> str:
    number = len(found.batches)
    if found.together is None:
        return "no batch"
    images = f"{found.together.images:,} image{'s' * (found.together.images > 1)}"
    if number == 1:
        return f"the last batch ({images}, {_when(found.batches[0])})"
    since, until = _when(found.batches[0]), _when(found.batches[-1])
    return f"the last {number} batches ({images}, {since} to {until})"


def _tables(found: Drift) -> list[str]:
    """All batches together, then each where there are several."""
    if found.together is None:
        return []
    tables = [markdown.table(HEADING, _rows(found, bold="**"))]
    if len(found.batches) > 1:
        tables.append(
            markdown.table(
                ("time (UTC)", "images", *NAMES, "from"),
                [
                    (
                        _when(batch),
                        f"{one.images:,}" + ("" if one.enough else " (too few)"),
                        *_values(one),
                        f"`{batch.source.replace('`', ' ')}`",  # a path is no Markdown
                    )
                    for batch, one in zip(found.batches, found.each, strict=True)
                ],
            )
        )
    return tables


def _rows(found: Drift, bold: str = "") -> list[tuple[str, ...]]:
    """A row a feature, of all batches together; what has drifted between `bold` and `bold`."""
    if found.together is None or found.found is None:
        return []
    rows: list[tuple[str, ...]] = []
    for k, one in enumerate(found.together.distances):
        known, now = _sides(one.name, found.known, found.found)
        says = _drifted(found, k)
        says = f"{bold}{says}{bold}" if says != "no" else says
        rows.append((one.name, known, now, f"{one.value:.3f}", _p(one.p), says))
    return rows


def _drifted(found: Drift, k: int) -> str:
    """Where feature number k has drifted: in all batches together, in some alone, or not."""
    together = found.together is not None and found.together.distances[k].drifted
    if len(found.batches) == 1:
        return "yes" if together else "no"
    alone = [one.distances[k].value for one in found.each if one.distances[k].drifted]
    number = f"in {len(alone)} of {len(found.batches)} batches, up to {max(alone, default=0):.3f}"
    return " and ".join([*(["together"] if together else []), *([number] if alone else [])]) or "no"


def _sides(name: str, known: Features, found: Features) -> tuple[str, str]:
    """A feature's mean, or the class that has changed most."""
    if name in MEANS:
        known_mean, found_mean = (getattr(one, name).mean for one in (known, found))
        return MEANS[name].format(known_mean), MEANS[name].format(found_mean)
    before, after = known.shares, found.shares
    label = max(before, key=lambda label: abs(after.get(label, 0) - before[label]))
    return f"{label} {before[label]:.1%}", f"{label} {after.get(label, 0):.1%}"


def _values(one: Comparison) -> list[str]:
    return [f"**{d.value:.3f}**" if d.drifted else f"{d.value:.3f}" for d in one.distances]


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def _when(batch: Batch) -> str:
    return f"{datetime.fromisoformat(batch.time):%Y-%m-%d %H:%M}"


def _explained(found: Drift, rules: params.Monitor) -> str:
    return "\n".join(
        [
            "- The version *knows* the classes that it named on its test images and how sure it "
            "was, and the brightness (mean luma, 0 to 255) and the contrast (standard deviation of "
            "luma) of the images that it was trained on.",
            "- The *distance* is 0 where two distributions are the same, and 1 where they have "
            "nothing in common: total variation for the classes, Kolmogorov–Smirnov for the "
            "others, on the bins of their histograms.",
            "- *p* is how likely chance alone makes such a distance: the chi-squared test, and the "
            "two-sample Kolmogorov–Smirnov test. Both take images to be drawn one by one; frames "
            "of one film are not.",
            f"- A feature has *drifted* where its distance is at least {rules.distance:g} and its "
            f"p below {found.threshold:.2g}. That is {rules.significance:g} divided by the number "
            "of comparisons here: of the batches together, and of each that has at least "
            f"{rules.images} images.",
            "- Drift says that images or answers are other than they were, not that answers are "
            "wrong. What is wrong, only labels say.",
        ]
    )


def _pictures(found: Drift, rules: params.Monitor) -> dict[str, bytes]:
    """The features of all batches; then, where there are several, the distances of each. As PNG."""
    if found.found is None or found.together is None:
        return {}
    from resnet.monitoring import drift_pictures

    figures = {"features": drift_pictures.features(found)}
    if len(found.batches) > 1:
        figures["distances"] = drift_pictures.distances(found, rules.distance)
    return {name: drift_pictures.png(figure) for name, figure in figures.items()}
