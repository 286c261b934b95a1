"""What `monitor` reports, for a reader: lines for a terminal, Markdown, a page with pictures."""

from datetime import datetime

from resnet import params
from resnet.forms import statistics
from resnet.forms.names import NOUNS, counted
from resnet.monitoring.drift import Drift, FeatureComparison
from resnet.monitoring.features import Features
from resnet.monitoring.scored_batches import ScoredBatch
from resnet.pages import html_page, markdown
from resnet.pages.text_table import aligned
from resnet.registry.versions import Version

HEADING = ("feature", "reference", "scored", "distance", "p", "drifted")
PICTURES = {  # what they show, by name
    "features": "Each feature, in the reference and in the scored batches",
    "distances": "The distances of each batch",
}


def headline(version: Version, drift: Drift) -> str:
    """The result in a sentence."""
    name, several = f"{version.name} version {version.number}", len(drift.batches) > 1
    if drift.together is None:
        return f"{drift.state}: {name} has scored no batch"
    batches = f"{_batches(drift)} that {name} has scored"
    if drift.state == "Not enough samples":
        return f"{drift.state}: {batches} {'are' if several else 'is'} too small to compare"
    if drift.state == "No drift":
        return f"{drift.state}: {batches} {'match' if several else 'matches'} the reference"
    far = ", ".join(f"{feature} ({value:.2f})" for feature, value in drift.drifted.items())
    verb = "differ" if several else "differs"
    return f"{drift.state}: {batches} {verb} from the reference in {far}"


def text(version: Version, drift: Drift) -> str:
    """The result, and one line per feature."""
    rows = [HEADING, *_rows(drift)]
    if len(rows) == 1:
        return headline(version, drift)
    return "\n".join([headline(version, drift), *aligned(rows)])


def summary(version: Version, drift: Drift) -> str:
    """The result, all batches together, and each, as Markdown."""
    return "\n\n".join([headline(version, drift) + ".", *_tables(drift)])


def html(version: Version, drift: Drift, rules: params.Monitor) -> str:
    """All of it as a page for a browser, with pictures in it."""
    title = f"{version.name} version {version.number}: {drift.state.lower()}"
    together, *each = _tables(drift) or [""]
    pictures = _pictures(drift, rules)
    shown = [html_page.picture(name, PICTURES[name]) for name in pictures]
    parts = [
        f"# {title}",
        headline(version, drift) + ".",
        together,
        *shown[:1],
        *(["## Batch by batch"] if each else []),
        *shown[1:],
        *each,
        "## How to read this",
        _explanation(drift, rules),
    ]
    return html_page.html(title, "\n\n".join(filter(None, parts)), pictures)


def _batches(drift: Drift) -> str:
    """The batches, their samples and their times."""
    assert drift.together is not None  # noqa: S101  (there is a batch)
    number = len(drift.batches)
    samples = counted(drift.reference.form, drift.together.images)
    if number == 1:
        return f"the last batch ({samples}, {_time(drift.batches[0])})"
    first, last = _time(drift.batches[0]), _time(drift.batches[-1])
    return f"the last {number} batches ({samples}, {first} to {last})"


def _tables(drift: Drift) -> list[str]:
    """All batches together, then each if there are several."""
    if drift.together is None:
        return []
    tables = [markdown.table(HEADING, _rows(drift, bold="**"))]
    if len(drift.batches) > 1:
        tables.append(
            markdown.table(
                ("time (UTC)", NOUNS[drift.reference.form], *drift.reference.names, "source"),
                [
                    (
                        _time(batch),
                        f"{comparison.images:,}" + ("" if comparison.enough else " (too few)"),
                        *_values(comparison),
                        f"`{batch.source.replace('`', ' ')}`",  # a path is no Markdown
                    )
                    for batch, comparison in zip(drift.batches, drift.each, strict=True)
                ],
            )
        )
    return tables


def _rows(drift: Drift, bold: str = "") -> list[tuple[str, ...]]:
    """One row per feature, of all batches together; drift is put between `bold` and `bold`."""
    if drift.together is None or drift.scored is None:
        return []
    rows: list[tuple[str, ...]] = []
    for k, distance in enumerate(drift.together.distances):
        sides = _sides(distance.name, drift.reference, drift.scored)
        where = _drifted(drift, k)
        where = f"{bold}{where}{bold}" if where != "no" else where
        rows.append((distance.name, *sides, f"{distance.value:.3f}", _p(distance.p), where))
    return rows


def _drifted(drift: Drift, k: int) -> str:
    """Where feature number k has drifted: in all batches together, in some alone, or not."""
    together = drift.together is not None and drift.together.distances[k].drifted
    if len(drift.batches) == 1:
        return "yes" if together else "no"
    alone = [one.distances[k].value for one in drift.each if one.distances[k].drifted]
    number = f"in {len(alone)} of {len(drift.batches)} batches, up to {max(alone, default=0):.3f}"
    return " and ".join([*(["together"] if together else []), *([number] if alone else [])]) or "no"


def _sides(name: str, reference: Features, scored: Features) -> tuple[str, str]:
    """A feature's mean, or the class that has changed most."""
    if name != "classes":
        shown = "{:.1%}" if name == "confidence" else "{:.1f}"
        before, after = (one.histograms[name].mean for one in (reference, scored))
        return shown.format(before), shown.format(after)
    shares, now = reference.shares, scored.shares
    label = max(shares, key=lambda label: abs(now.get(label, 0) - shares[label]))
    return f"{label} {shares[label]:.1%}", f"{label} {now.get(label, 0):.1%}"


def _values(comparison: FeatureComparison) -> list[str]:
    return [f"**{d.value:.3f}**" if d.drifted else f"{d.value:.3f}" for d in comparison.distances]


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def _time(batch: ScoredBatch) -> str:
    return f"{datetime.fromisoformat(batch.time):%Y-%m-%d %H:%M}"


def _explanation(drift: Drift, rules: params.Monitor) -> str:
    form = drift.reference.form
    noun, features = NOUNS[form], statistics.of(form).FEATURES
    own = " and ".join(f"the {name} ({feature.label})" for name, feature in features.items())
    return "\n".join(
        [
            "- The *reference* is the version's own data: the classes that it predicted on its "
            f"test {noun} and its confidence there, and {own} of its training {noun}.",
            "- The *distance* is 0 if two distributions are the same, and 1 if they have nothing "
            "in common: total variation for the classes, Kolmogorov–Smirnov for the others, on "
            "the bins of their histograms.",
            "- *p* is the probability of such a distance, or a greater one, by chance alone: the "
            "chi-squared test, and the two-sample Kolmogorov–Smirnov test. Both assume that "
            f"{noun} are drawn one by one; parts of one recording, say frames of one film, are "
            "not.",
            f"- A feature has *drifted* if its distance is at least {rules.distance:g} and its p "
            f"is below {drift.threshold:.2g}. That is {rules.significance:g} divided by the number "
            "of comparisons here: of the batches together, and of each that has at least "
            f"{rules.images} {noun}.",
            f"- Drift means that {noun} or predictions differ from the reference, not that the "
            "predictions are wrong. Only labels can show that.",
        ]
    )


def _pictures(drift: Drift, rules: params.Monitor) -> dict[str, bytes]:
    """The features of all batches; then, if there are several, the distances of each. As PNG."""
    if drift.together is None:
        return {}
    from resnet.monitoring import drift_pictures

    figures = {"features": drift_pictures.features(drift)}
    if len(drift.batches) > 1:
        figures["distances"] = drift_pictures.distances(drift, rules.distance)
    return {name: drift_pictures.png(figure) for name, figure in figures.items()}
