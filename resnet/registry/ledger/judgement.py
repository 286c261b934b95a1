"""What the ledger is asked about each of its verdicts: a few numbers of a long JSON text.

A verdict is some 3 kB. To make Python objects of all of it takes five times as long as to check it
and keep these, and the gate asks about every verdict that there ever was.
"""

from collections.abc import Iterator

from pydantic import BaseModel


class _Metrics(BaseModel):
    accuracy: float | None  # None if it was NaN


class _Comparison(BaseModel):
    production: float | None


class Judgement(BaseModel, frozen=True):
    """The gate's verdict, as `Verdict.as_dict` returned it, without the rest."""

    version: int
    against: int | None = None  # the version in production at that time
    test_hash: str  # of the test samples
    uses: int  # decisions made with these test samples until then, with this one
    metrics: _Metrics
    comparison: _Comparison | None

    def accuracies(self) -> Iterator[tuple[int, float]]:
        """The number and the accuracy of each version that was judged or compared with.

        An accuracy that was NaN is left out.
        """
        if self.metrics.accuracy is not None:
            yield self.version, self.metrics.accuracy
        if self.comparison and self.against and self.comparison.production is not None:
            yield self.against, self.comparison.production
