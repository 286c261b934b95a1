"""How far scored images are from what a version knows: features of both in, distances out.

Numbers are compared by the two-sample Kolmogorov–Smirnov test, as counted in the bins of their
histograms (which makes it slightly cautious), classes by the chi-squared test of homogeneity. With
enough images any difference is significant, and with few none is: a feature has drifted where its p
is below the significance, divided by all comparisons of the look (Bonferroni), and its distance is
large enough to matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from resnet import params
from resnet.errors import PipelineError
from resnet.forms.histogram import Histogram
from resnet.monitoring.features import Features
from resnet.monitoring.scored_batches import Batch

Verdict = Literal["Drifted", "Quiet", "Too few images"]
NAMES = ("classes", "confidence", "brightness", "contrast")


@dataclass(frozen=True)
class Distance:
    """Between the known and the found distribution of one feature."""

    name: str
    value: float  # 0 to 1: Kolmogorov–Smirnov, of classes total variation
    p: float  # how likely chance alone is as far apart, or further
    drifted: bool


@dataclass(frozen=True)
class Comparison:
    """Some images beside what the version knows."""

    images: int
    distances: tuple[Distance, ...]  # in the order of `NAMES`
    enough: bool  # images to tell: else nothing has drifted

    @property
    def drifted(self) -> tuple[Distance, ...]:
        return tuple(one for one in self.distances if one.drifted)


@dataclass(frozen=True)
class Drift:
    """The last batches that a version has scored, together and each, beside what it knows."""

    known: Features
    found: Features | None  # of all batches; None without a batch
    batches: tuple[Batch, ...]  # the oldest first
    together: Comparison | None  # None without a batch
    each: tuple[Comparison, ...]  # of the batches
    threshold: float  # of p

    @property
    def verdict(self) -> Verdict:
        if self.together is None or not self.together.enough:
            return "Too few images"
        return "Drifted" if self.drifted else "Quiet"

    @property
    def drifted(self) -> dict[str, float]:
        """The features that have drifted, each with its greatest distance."""
        comparisons = [*([self.together] if self.together else []), *self.each]
        far = [one for comparison in comparisons for one in comparison.drifted]
        return {
            name: max(one.value for one in far if one.name == name)
            for name in NAMES
            if any(one.name == name for one in far)
        }


def look(known: Features, batches: Sequence[Batch], rules: params.Monitor) -> Drift:
    """Compare `batches`, together and each, with what their version knows.

    A batch with too few images counts together with the others only. Raises PipelineError where the
    batches were counted in other bins.
    """
    if not batches:
        return Drift(known, None, (), None, (), rules.significance)
    judged = [one for one in batches if one.features.images >= rules.images]
    together = len(batches) > 1 or not judged  # one batch alone is compared once
    threshold = rules.significance / (len(NAMES) * (len(judged) + together))
    # Each comes first: it names the feature whose bins are others, which pooling cannot.
    each = tuple(compare(known, batch.features, rules, threshold) for batch in batches)
    found = Features.pooled(batch.features for batch in batches)
    whole = compare(known, found, rules, threshold)
    return Drift(known, found, tuple(batches), whole, each, threshold)


def compare(
    known: Features, found: Features, rules: params.Monitor, threshold: float
) -> Comparison:
    """Each feature of some images; one has drifted where its p is below `threshold` and it is far.

    Raises PipelineError where the two were counted in other bins.
    """
    enough = found.images >= rules.images
    distances = []
    for name in NAMES:
        value, p = _distance(name, getattr(known, name), getattr(found, name))
        far = enough and p < threshold and value >= rules.distance
        distances.append(Distance(name, value, p, far))
    return Comparison(found.images, tuple(distances), enough)


def _distance(name: str, known: object, found: object) -> tuple[float, float]:
    if isinstance(known, Histogram) and isinstance(found, Histogram):
        return kolmogorov_smirnov(name, known, found)
    assert isinstance(known, dict)  # noqa: S101  (classes are counts by name)
    assert isinstance(found, dict)  # noqa: S101
    names = list(dict.fromkeys([*known, *found]))
    return chi_squared(*([counts.get(one, 0) for one in names] for counts in (known, found)))


def kolmogorov_smirnov(name: str, known: Histogram, found: Histogram) -> tuple[float, float]:
    """The distance of two histograms, and its p.

    As scipy.stats.ks_2samp(…, method="asymp") has them of the numbers' bins, without a list of all
    numbers. Raises PipelineError where the bins are not the same.
    """
    if known.bins != found.bins:
        raise PipelineError(
            f"{name} was counted in {known.bins.count} bins of {known.width:g} for the version, "
            f"and in {found.bins.count} of {found.width:g} for its batches: they are from "
            "different releases; score new images and look at these alone (--batches), or monitor "
            "a version of this release"
        )
    from scipy.stats import kstwo  # it takes most of a second

    below, now_below = (np.cumsum(one.counts) / one.size for one in (known, found))
    distance = float(np.abs(below - now_below).max())
    effective = known.size * found.size / (known.size + found.size)
    return distance, float(kstwo.sf(distance, round(effective)))


def chi_squared(known: Sequence[int], found: Sequence[int]) -> tuple[float, float]:
    """The total variation of two distributions over the same classes, and its p."""
    from scipy.stats import chi2_contingency

    table = np.array([known, found])
    shares = table / table.sum(axis=1, keepdims=True)
    occurring = table[:, table.sum(axis=0) > 0]
    p = float(chi2_contingency(occurring, correction=False).pvalue)
    return float(np.abs(shares[0] - shares[1]).sum() / 2), p
