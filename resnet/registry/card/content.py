"""What a version is, for a reader: what the registry says of it in, a Markdown page out.

What the registry does not say, of an old version or a broken one, is left out or said to be
missing. The aliases are not on the page: they move, and it stays.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from pydantic import BaseModel, Field

from resnet.errors import PipelineError
from resnet.pages import html_page, markdown
from resnet.registry.gate.rules import Measured
from resnet.registry.gate.verdict import Verdict, number
from resnet.registry.ledger.event import Event
from resnet.registry.versions import Version

PICTURES = {  # by the names of their files, what they show
    "curves": "Loss, accuracy and learning rate by epoch",
    "confusion": "How many test images of each class were said to be of which class",
    "reliability": "Accuracy by confidence, beside what it should be",
    "mistakes": "The wrongly classified test images of which the model was most sure",
}
FIELDS = {  # of the metrics, as they are told
    "parameters": ("parameters", "{:,}"),
    "flops": ("FLOPs of one image", "{:,}"),
    "size_bytes": ("size of the file, bytes", "{:,}"),
    "latency_ms": ("latency of one image, ms", "{:.2f}"),
    "throughput": ("images a second, 256 a call", "{:,.0f}"),
}


class Batch(BaseModel, frozen=True):
    """Images that were added to the training images."""

    md5: str
    images: int


class Profile(BaseModel, frozen=True):
    """The profile of the data, as far as it is told."""

    dataset: str = "a data set that is not recorded"
    classes: list[str] = []
    counts: dict[str, dict[str, int]] = {}  # images by split and class
    duplicates: dict[str, int] | None = None  # by pair of splits
    extra: dict[str, Batch] = {}


class ClassScore(BaseModel, frozen=True):
    """How the model does on one class, a row of per_class.csv; shares are 0 to 1."""

    name: str = Field(alias="class")
    images: int
    precision: float
    recall: float
    recall_low: float | None = None  # 95 % interval; older evaluations have none
    recall_high: float | None = None
    f1: float


class Part(BaseModel, frozen=True):
    """The accuracy on a part of the test images, a row of subsets.csv."""

    name: str = Field(alias="subset")
    images: int
    accuracy: float
    low: float  # 95 % interval
    high: float


@dataclass(frozen=True)
class About:
    """What the registry says of a version."""

    version: Version
    description: str  # Markdown
    tags: Mapping[str, str]  # of its run and of itself
    parameters: Mapping[str, str]  # params.yaml's, flattened
    measured: Mapping[str, float]  # the run's metrics, of which those of the training are told
    metrics: Measured  # of the evaluation that belongs to the version; empty without it
    profile: Profile
    classes: Sequence[ClassScore]
    parts: Sequence[Part]  # of the test images; the first is all of them
    pictures: Mapping[str, bytes]  # PNG, by the names of their files
    decision: Event | None  # the newest that the gate was asked for
    outcome: Event | None  # the newest that concerns the version, with the gate or without

    @property
    def title(self) -> str:
        return f"{self.version.name} version {self.version.number}"

    def page(self) -> str:
        """All of it, as Markdown."""
        sections = (
            _what(self),
            _data(self),
            _recipe(self),
            _results(self),
            _per_class(self),
            _calibration(self),
            _mistakes(self),
            _gate(self),
            _load(self),
            _rebuild(self),
            _limits(self),
        )
        return "\n\n".join(part for section in sections for part in section)


def _what(about: About) -> Iterator[str]:
    yield f"# {markdown.text(about.title)}"
    yield about.description.partition("\n\n")[0] or "It was registered without a description."
    metrics = about.metrics
    if not metrics:
        yield "**No evaluation can be read that belongs to it:** see `resnet verify`."
    else:
        yield f"Test accuracy **{number('{:.2%}', metrics['accuracy'])}**, {_interval(metrics)}."
    rows = [
        ("in", "raw images, uint8 (N, 32, 32, 3), red, green, blue, 0 to 255"),
        ("out", "probabilities, float32 (N, 10), each row sums to 1"),
    ]
    if names := about.profile.classes:
        rows.append(("classes", f"{', '.join(names)}, in the order of the columns"))
    if metrics:
        rows += [(text, number(form, metrics[name])) for name, (text, form) in FIELDS.items()]
    rows.append(("model hash", f"`{about.version.model_hash or 'not recorded'}`"))
    rows.append(("run", f"`{about.version.run_id}`"))
    yield _pairs(rows)
    yield (
        "Latency and throughput are those of the machine that evaluated it. Which version serves "
        "changes, so it is not told here: `resnet history` and MLflow's page of the model show it."
    )


def _data(about: About) -> Iterator[str]:
    profile = about.profile
    yield "## Data"
    md5 = about.tags.get("data_hash", "not recorded")
    yield f"{profile.dataset}; DVC's md5 of the arrays is `{md5}`."
    if cause := about.tags.get("cause"):
        yield f"Why it was trained: {markdown.text(cause)}"
    if profile.counts:
        names = profile.classes
        yield markdown.table(
            ["images", "all", *names],
            [
                [split, f"{sum(of.values()):,}", *(f"{of.get(name, 0):,}" for name in names)]
                for split, of in profile.counts.items()
            ],
        )
    if profile.extra:
        yield "Added to the training images:"
        yield markdown.table(
            ["batch", "images", "md5"],
            [
                [markdown.text(name), f"{one.images:,}", f"`{one.md5}`"]
                for name, one in profile.extra.items()
            ],
        )
    if profile.duplicates is not None:
        found = [f"{number:,} ({pair})" for pair, number in profile.duplicates.items() if number]
        yield f"Images that are, bit for bit, in two of the splits: {', '.join(found) or 'none'}."


def _recipe(about: About) -> Iterator[str]:
    yield "## Recipe"
    if about.parameters:
        groups = groupby(
            sorted(name.rpartition(".")[::2] for name in about.parameters), key=lambda one: one[0]
        )
        yield markdown.table(
            ["params.yaml", ""],
            [[f"`{group}`", _values(about, group, [key for _, key in of])] for group, of in groups],
        )
    else:
        yield "Its parameters are not recorded."
    if rows := list(_training(about)):
        yield _pairs(rows)
    yield from _picture(about, "curves")


def _training(about: About) -> Iterator[tuple[str, str]]:
    """How the training went, and on what."""
    tags, measured = about.tags, about.measured
    forms = {
        "epochs": ("epochs", "{:g}"),
        "best_epoch": ("epoch that was kept", "{:g}"),
        "steps": ("steps", "{:,.0f}"),
        "seconds": ("seconds", "{:,.0f}"),
        "images_per_second": ("images a second", "{:,.0f}"),
    }
    for name, (text, form) in forms.items():
        if name in measured:
            yield text, form.format(measured[name])
    if "device" in tags:
        device, name = tags["device"], tags.get("device_name", "")
        yield "device", f"{device}: {name}" if name not in ("", "None") else device
    if "cpu" in tags and tags["cpu"] != tags.get("device_name"):
        yield "CPU", tags["cpu"]
    prefix = "version."
    versions = [(name, tags[name]) for name in sorted(tags) if name.startswith(prefix)]
    if versions:
        yield (
            "versions",
            ", ".join(f"{name.removeprefix(prefix)} {number}" for name, number in versions),
        )
    if "system" in tags:
        yield "system", tags["system"]


def _results(about: About) -> Iterator[str]:
    metrics = about.metrics
    if not metrics:
        return
    yield "## Results"
    correct, images = (number("{:,}", metrics[name]) for name in ("correct", "images"))
    rows = [
        ("accuracy", f"{number('{:.2%}', metrics['accuracy'])}, {_interval(metrics)}"),
        ("right", f"{correct} of {images} test images"),
        ("right with two guesses", number("{:.2%}", metrics["top2"])),
        ("loss", number("{:.4f} nats", metrics["loss"])),
    ]
    if (found := metrics["human_cross_entropy"]) is not None:
        least = number("{:.4f} is the least", metrics["human_entropy"])
        rows.append(("cross-entropy against what people chose", f"{found:.4f} nats; {least}"))
    yield _pairs(rows)
    if len(about.parts) > 1:
        yield markdown.table(
            ["test images", "number", "accuracy", "95 % interval"],
            [
                [part.name, f"{part.images:,}", f"{part.accuracy:.2%}", _range(part.low, part.high)]
                for part in about.parts
            ],
        )
    yield (
        "The intervals (Wilson 1927) are over the test images alone: they do not say how much the "
        "accuracy of another training, with another seed, would differ."
    )


def _per_class(about: About) -> Iterator[str]:
    if about.classes:
        yield "## Per class"
        yield markdown.table(
            ["class", "images", "recall", "95 % interval", "precision", "F1"],
            [
                [
                    one.name,
                    f"{one.images:,}",
                    f"{one.recall:.1%}",
                    _range(one.recall_low, one.recall_high, digits=1),
                    f"{one.precision:.1%}",
                    f"{one.f1:.1%}",
                ]
                for one in about.classes
            ],
        )
        yield from _picture(about, "confusion")


def _calibration(about: About) -> Iterator[str]:
    metrics = about.metrics
    if not metrics:
        return
    yield "## Calibration"
    text = f"The calibration error is {number('{:.1%}', metrics['calibration_error'])}."
    if (temperature := metrics["temperature"]) is not None:
        sure = "too sure" if temperature > 1 else "not sure enough"
        scaled = number("{:.1%}", metrics["calibration_error_scaled"])
        text += (
            f" The validation images say that the model is {sure}: with its logits divided by "
            f"{temperature:.2f} the error would be {scaled}."
        )
    yield text
    yield from _picture(about, "reliability")


def _mistakes(about: About) -> Iterator[str]:
    if "mistakes" in about.pictures:
        yield "## Most confident mistakes"
        yield from _picture(about, "mistakes")


def _gate(about: About) -> Iterator[str]:
    yield from _verdict(about)
    event = about.outcome
    if event is None:
        return
    yield f"What became of it, {_minute(event.time)} UTC: {markdown.text(str(event))}."
    if event.expires:  # the clock is not on the page: the same registry gives the same one
        yield (
            f"It waits for an answer until {_minute(event.expires)} UTC; without one by then it "
            "counts as rejected."
        )


def _verdict(about: About) -> Iterator[str]:
    event = about.decision
    if event is None:
        yield "## The gate"
        yield "It has not been asked about this version."
        return
    try:
        verdict = Verdict.from_dict(event.evidence)
    except PipelineError as error:
        yield "## The gate"
        yield f"{markdown.text(str(error))}."
    else:
        yield verdict.page()
        if not verdict.is_about(about.version):
            yield "**The version was evaluated again since:** the results above are newer."


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _load(about: About) -> Iterator[str]:
    version = about.version
    yield "## Load it"
    yield (
        "```python\n"
        "import mlflow\n"
        f'model = mlflow.pyfunc.load_model("models:/{version.name}/{version.number}")\n'
        "probabilities = model.predict(images)  # uint8 (N, 32, 32, 3) → float32 (N, 10)\n"
        "```"
    )
    yield (
        "`MLFLOW_TRACKING_URI` names the registry. The run's `model.keras` is the same model for "
        "`keras.saving.load_model`; neither needs this project's code."
    )


def _rebuild(about: About) -> Iterator[str]:
    yield "## Rebuild it"
    commit = about.tags.get("git_commit", "none")
    if commit == "none":
        yield "It cannot be rebuilt: no git commit of its code is recorded."
        return
    version = about.version
    yield (
        f"```sh\ngit checkout {commit}\n"
        f"resnet verify {version.number} --model {version.name} --retrain\n```"
    )
    if about.tags.get("git_dirty") == "true":
        yield "Not all of its code was in that commit: `recipe/changes.patch` has the rest."
    yield (
        "In a folder of its own this checks out the code and the data, trains again with the "
        "recorded `recipe/params.yaml`, and compares the bits."
    )


def _limits(about: About) -> Iterator[str]:
    yield "## What it is for"
    yield (
        "It is made to compare ways of training on small pictures of ten kinds of things, and "
        "names one of the ten for any picture whatever, with a probability that says nothing about "
        "whether the picture shows one of them."
    )
    yield (
        "Its test images have also decided which versions went into production, so the accuracy of "
        "a version that was chosen by them is slightly optimistic."
    )


def _picture(about: About, name: str) -> Iterator[str]:
    if name in about.pictures:
        yield html_page.picture(name, PICTURES[name])


def _pairs(rows: Sequence[tuple[str, str]]) -> str:
    """A table without a heading."""
    return markdown.table(["", ""], rows)


def _values(about: About, group: str, keys: Sequence[str]) -> str:
    named = {key: about.parameters[f"{group}.{key}" if group else key] for key in keys}
    return ", ".join(f"{key} `{value}`" for key, value in named.items())


def _interval(metrics: Measured) -> str:
    return f"95 % interval {_range(metrics['accuracy_low'], metrics['accuracy_high'])}"


def _range(low: float | None, high: float | None, digits: int = 2) -> str:
    return "–" if low is None or high is None else f"{low:.{digits}%} to {high:.{digits}%}"
