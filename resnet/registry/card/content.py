"""The content of a model card, as values: what the registry holds of a version.

Parts that the registry does not hold, of an old or a broken version, are empty or None. The aliases
are not among them: they move, and the card stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, Field

from resnet.evaluation.metrics import MetricValues
from resnet.evaluation.scoring_precision import ScoringPrecision
from resnet.export.report import PortableReport
from resnet.forms import description
from resnet.forms.description import Description
from resnet.forms.names import NOUNS, FormName
from resnet.registry.ledger.event import Event
from resnet.registry.versions import Version


class AddedImages(BaseModel, frozen=True):
    """A batch of samples that was added to the training samples."""

    md5: str
    images: int


class Profile(BaseModel, frozen=True):
    """The profile of the data, as far as the card shows it."""

    dataset: str = "a data set that is not recorded"
    form: FormName = "image"  # as in earlier releases, whose profiles do not say it
    shape: tuple[int, ...] = (32, 32, 3)
    classes: list[str] = []
    counts: dict[str, dict[str, int]] = {}  # samples by split and class
    duplicates: dict[str, int] | None = None  # by pair of splits
    extra: dict[str, AddedImages] = {}


class ClassScore(BaseModel, frozen=True):
    """The scores of one class, a row of per_class.csv; shares are 0 to 1."""

    name: str = Field(alias="class")
    images: int
    precision: float
    recall: float
    recall_low: float | None = None  # 95 % interval; older evaluations have none
    recall_high: float | None = None
    f1: float


class Subset(BaseModel, frozen=True):
    """The accuracy on a subset of the test samples, a row of subsets.csv."""

    name: str = Field(alias="subset")
    images: int
    accuracy: float
    low: float  # 95 % interval
    high: float


@dataclass(frozen=True)
class CardContent:
    """What the registry holds of a version."""

    version: Version
    description: str  # Markdown
    tags: Mapping[str, str]  # of its run and of the version itself
    parameters: Mapping[str, str]  # params.yaml's, flattened
    run_metrics: Mapping[str, float]  # of which the card shows those of the training
    metrics: MetricValues  # of the evaluation that belongs to the version; empty without one
    scoring: ScoringPrecision | None  # of the same; None where it does not say
    profile: Profile
    classes: Sequence[ClassScore]
    subsets: Sequence[Subset]  # the first is all test samples
    pictures: Mapping[str, bytes]  # PNG, by the names of their files
    portable: PortableReport | None
    decision: Event | None  # the last for which the gate was asked
    outcome: Event | None  # the last that concerns the version, with the gate or without

    @property
    def noun(self) -> str:
        """What the samples are called, in the plural."""
        return NOUNS[self.profile.form]

    @property
    def form(self) -> Description:
        """The form of the samples in words."""
        return description.of(self.profile.form)

    @property
    def title(self) -> str:
        return f"{self.version.name} version {self.version.number}"
