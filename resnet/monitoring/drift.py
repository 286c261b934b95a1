"""How far scored samples are from a version's reference data: features of both in, distances out.

Numbers are compared by the two-sample Kolmogorov–Smirnov test, as counted in the bins of their
histograms (which makes it slightly conservative), classes by the chi-squared test of homogeneity.
With enough samples any difference is significant, and with few none is: a feature has drifted if
its p is below the significance, divided by the number of comparisons (Bonferroni), and its distance
is large enough to matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from resnet import params
from resnet.errors import PipelineError
from resnet.forms.histogram import Histogram
from resnet.monitoring.features import Features
from resnet.monitoring.scored_batches import ScoredBatch

DriftState = Literal["Drift", "No drift", "Not enough samples"]


@dataclass(frozen=True)
class Distance:
    """Between one feature's distributions in the reference and in scored samples."""

    name: str
    value: float  # 0 to 1: Kolmogorov–Smirnov, of classes total variation
    p: float  # the probability of such a distance, or a greater one, by chance alone
    drifted: bool


@dataclass(frozen=True)
class FeatureComparison:
    """Each feature of some samples, compared with the reference."""

    images: int
    distances: tuple[Distance, ...]  # in the order of `Features.names`
    enough: bool  # samples to compare; if not, nothing has drifted

    @property
    def drifted(self) -> tuple[Distance, ...]:
        return tuple(distance for distance in self.distances if distance.drifted)


@dataclass(frozen=True)
class Drift:
    """A version's last batches, together and each, compared with its reference data."""

    reference: Features
    scored: Features | None  # of all batches; None without a batch
    batches: tuple[ScoredBatch, ...]  # the oldest first
    together: FeatureComparison | None  # None without a batch
    each: tuple[FeatureComparison, ...]  # of the batches
    threshold: float  # of p

    @property
    def state(self) -> DriftState:
        if self.together is None or not self.together.enough:
            return "Not enough samples"
        return "Drift" if self.drifted else "No drift"

    @property
    def drifted(self) -> dict[str, float]:
        """The features that have drifted, each with its greatest distance."""
        comparisons = [*([self.together] if self.together else []), *self.each]
        far = [distance for comparison in comparisons for distance in comparison.drifted]
        return {
            name: max(distance.value for distance in far if distance.name == name)
            for name in self.reference.names
            if any(distance.name == name for distance in far)
        }


def detect(reference: Features, batches: Sequence[ScoredBatch], rules: params.Monitor) -> Drift:
    """Compare `batches`, together and each, with their version's reference data.

    A batch with too few samples counts only together with the others. Raises PipelineError if the
    batches were counted in other bins.
    """
    if not batches:
        return Drift(reference, None, (), None, (), rules.significance)
    large = [batch for batch in batches if batch.features.images >= rules.images]
    together = len(batches) > 1 or not large  # a single batch is compared once
    threshold = rules.significance / (len(reference.names) * (len(large) + together))
    # Each comes first: its error names the feature with other bins, which pooling cannot.
    each = tuple(compare(reference, batch.features, rules, threshold) for batch in batches)
    scored = Features.pooled(batch.features for batch in batches)
    pooled = compare(reference, scored, rules, threshold)
    return Drift(reference, scored, tuple(batches), pooled, each, threshold)


def compare(
    reference: Features, scored: Features, rules: params.Monitor, threshold: float
) -> FeatureComparison:
    """Compare each feature; it has drifted if its p is below `threshold` and its distance matters.

    Raises PipelineError if the two were counted in different bins.
    """
    enough = scored.images >= rules.images
    distances = []
    for name in reference.names:
        value, p = _distance(name, reference, scored)
        drifted = enough and p < threshold and value >= rules.distance
        distances.append(Distance(name, value, p, drifted))
    return FeatureComparison(scored.images, tuple(distances), enough)


def _distance(name: str, reference: Features, scored: Features) -> tuple[float, float]:
    sides = reference, scored
    if name == "classes":
        labels = list(dict.fromkeys([*reference.classes, *scored.classes]))
        return chi_squared(*([one.classes.get(label, 0) for label in labels] for one in sides))
    return kolmogorov_smirnov(name, *(one.histograms[name] for one in sides))


def kolmogorov_smirnov(name: str, reference: Histogram, scored: Histogram) -> tuple[float, float]:
    """The distance of two histograms, and its p.

    As scipy.stats.ks_2samp(…, method="asymp") gives them for the numbers' bins, without a list of
    all numbers. Raises PipelineError if the bins differ.
    """
    if reference.bins != scored.bins:
        raise PipelineError(
            f"{name} was counted in {reference.bins.count} bins of {reference.width:g} for the "
            f"version, and in {scored.bins.count} of {scored.width:g} for its batches: they are "
            "from different releases; score new ones and monitor only these (--batches), or "
            "monitor a version of this release"
        )
    from scipy.stats import kstwo  # its import takes most of a second

    below, scored_below = (np.cumsum(one.counts) / one.size for one in (reference, scored))
    distance = float(np.abs(below - scored_below).max())
    effective = reference.size * scored.size / (reference.size + scored.size)
    return distance, float(kstwo.sf(distance, round(effective)))


def chi_squared(reference: Sequence[int], scored: Sequence[int]) -> tuple[float, float]:
    """The total variation of two distributions over the same classes, and its p."""
    from scipy.stats import chi2_contingency

    table = np.array([reference, scored])
    shares = table / table.sum(axis=1, keepdims=True)
    occurring = table[:, table.sum(axis=0) > 0]
    p = float(chi2_contingency(occurring, correction=False).pvalue)
    return float(np.abs(shares[0] - shares[1]).sum() / 2), p
