"""Read params.yaml, a preset and overrides into one frozen, strict `Params`.

params.yaml + presets/NAME.yaml + KEY=VALUE → `Params`. This module is the only reader of
params.yaml; every other one is given the section that it needs.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from resnet.errors import PipelineError, UsageError
from resnet.messages.spelling import suggestion
from resnet.system import files, mappings

Share = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
LENGTHS = ("train.epochs", "train.steps")  # one is null
MAX_BATCHES = 1000  # that `monitor` compares
BatchCount = Annotated[int, Field(ge=1, le=MAX_BATCHES)]
MANIFESTS = Path(__file__).parent / "data" / "manifests"  # NAME.json describes the data set NAME
FAMILY = "resnet"  # of networks; the second part of a registered model's name


class Section(BaseModel):
    """A mapping of params.yaml: it has every key and no other, and does not change."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Section):
    dataset: str
    validation: Annotated[int, Field(ge=0)]
    seed: Annotated[int, Field(ge=0)]

    @field_validator("dataset")
    @classmethod
    def dataset_has_a_manifest(cls, name: str) -> str:
        known = sorted(path.stem for path in MANIFESTS.glob("*.json"))
        if name not in known:
            raise ValueError(f"there is no data set '{name}': take one of {', '.join(known)}")
        return name


class Net(Section):
    block: Literal["basic", "preactivation", "pooled"]
    shortcut: Literal["A", "B", "none"]
    depth: PositiveInt
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    stem: Literal["convolution", "whitening"]
    stem_stride: Literal[1, 2]
    activation: Literal["relu", "silu", "gelu"]
    views: Literal[1, 2, 6]

    @model_validator(mode="after")
    def depth_is_whole_blocks(self) -> Self:
        unit = 2 * len(self.widths)
        pairs, rest = divmod(self.depth - 2, unit)
        if pairs < 1 or rest:
            nearest = [unit * (max(1, pairs) + k) + 2 for k in (0, 1)]
            raise ValueError(
                f"depth is {self.depth}; {len(self.widths)} groups of paired convolutions make "
                f"{unit}n + 2 layers: take {nearest[0]} or {nearest[1]}"
            )
        return self

    @model_validator(mode="after")
    def pooled_blocks_keep_their_shape(self) -> Self:
        if self.block == "pooled" and self.shortcut == "B":
            raise ValueError(
                "shortcut is B, but pooled blocks keep their shape and need no projection: "
                "take A, the identity there, or none"
            )
        return self


class Optimizer(Section):
    name: Literal["sgd", "adam", "adamw", "muon"]
    momentum: Share
    nesterov: bool
    weight_decay: NonNegative
    adam_ratio: NonNegative


class Schedule(Section):
    name: Literal["piecewise", "cosine", "one-cycle"]
    peak: Annotated[float, Field(gt=0)]
    warmup: Share
    boundaries: tuple[Share, ...]
    factor: Annotated[float, Field(gt=0)]


class Augment(Section):
    flip: Literal["none", "random", "alternating"]
    pad: Annotated[int, Field(ge=0, le=16)]
    fill: Literal["reflect", "mean"]


class Train(Section):
    device: Literal["auto", "cpu", "gpu"]
    backend: Literal["tensorflow", "jax"]
    deterministic: bool
    devices: PositiveInt | Literal["all"]
    precision: Literal["auto", "float32", "bfloat16"]
    seed: Annotated[int, Field(ge=0)]
    epochs: Annotated[float, Field(gt=0)] | None
    steps: PositiveInt | None
    batch: PositiveInt
    optimizer: Optimizer
    schedule: Schedule
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    augment: Augment
    diagnostics: bool
    early_stop: PositiveInt | None

    @model_validator(mode="after")
    def either_epochs_or_steps(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(
                f"epochs is {self.epochs}, steps is {self.steps}: give one, set the other to null"
            )
        return self

    @model_validator(mode="after")
    def tensorflow_has_one_device(self) -> Self:
        if self.backend == "tensorflow" and self.devices != 1:
            raise ValueError(
                f"devices is {self.devices}, but the backend tensorflow supports only 1: set "
                "backend to jax, or devices to 1"
            )
        return self


class Evaluate(Section):
    batch: PositiveInt
    bins: PositiveInt
    mistakes: PositiveInt
    annotations: tuple[str, ...]


class Export(Section):
    forms: tuple[Literal["onnx", "int8"], ...]
    agreement: Share
    accuracy: Share


class Gate(Section):
    floor: Share
    class_floor: Share
    margin: Share
    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    calibration_error: Share
    uncalibrated_error: Share | None
    latency_ms: Annotated[float, Field(gt=0)]
    size_bytes: PositiveInt


class Monitor(Section):
    batches: BatchCount
    images: PositiveInt
    significance: Annotated[float, Field(gt=0, lt=1)]
    distance: Share


class Paths(Section):
    archive: Path | None
    raw: Path
    extra: Path
    arrays: Path
    profile: Path
    annotations: Path
    model: Path
    history: Path
    training: Path
    metrics: Path
    scores: Path
    predictions: Path
    per_class: Path
    confusion: Path
    reliability: Path
    subsets: Path
    pictures: Path
    portable: Path
    portable_report: Path

    def under(self, root: Path) -> Self:
        """These paths with the relative ones in the folder `root`."""
        paths = {name: root / path for name, path in self if path is not None}
        return self.model_copy(update=paths)


class Runtime(Section):
    progress_seconds: NonNegative
    checkpoint_seconds: NonNegative
    lock_seconds: NonNegative
    settle_seconds: NonNegative
    approval_hours: Annotated[float, Field(gt=0, le=8760)]
    worker_runs: PositiveInt | Literal["auto"]


class Params(Section):
    """All of params.yaml, checked."""

    data: Data
    net: Net
    train: Train
    evaluate: Evaluate
    export: Export
    gate: Gate
    monitor: Monitor
    paths: Paths
    runtime: Runtime

    @model_validator(mode="after")
    def annotations_belong_to_the_data_set(self) -> Self:
        known = files.read_json(MANIFESTS / f"{self.data.dataset}.json")["annotations"]
        unknown = ", ".join(name for name in self.evaluate.annotations if name not in known)
        if unknown:
            raise ValueError(
                f"evaluate.annotations lists {unknown}, but those of {self.data.dataset} are "
                f"{', '.join(known) or 'none'}: remove {unknown}"
            )
        return self

    @model_validator(mode="after")
    def only_images_are_mirrored_and_whitened(self) -> Self:
        form = files.read_json(MANIFESTS / f"{self.data.dataset}.json")["form"]
        if form == "image":
            return self
        given = {
            "net.stem": (self.net.stem, "convolution"),
            "net.views": (self.net.views, 1),
            "train.augment.flip": (self.train.augment.flip, "none"),
            "train.augment.fill": (self.train.augment.fill, "mean"),
        }
        for key, (value, wanted) in given.items():
            if value != wanted:
                raise ValueError(
                    f"{key} is {value}, which is for images, but the samples of "
                    f"{self.data.dataset} have the form {form}: set it to {wanted}"
                )
        return self

    @property
    def model_name(self) -> str:
        """The registered model's name; the models of two data sets never mix."""
        return f"{self.data.dataset}-{FAMILY}"


def load(root: Path) -> Params:
    """The parameters of the checkout at `root`. Raises PipelineError if they are invalid."""
    return check(read(root))


def read(root: Path) -> dict[str, Any]:
    """params.yaml as it is, unchecked."""
    return mappings.read(root / "params.yaml")


def presets(root: Path) -> dict[str, Path]:
    """The file of each preset by its name, in order; not `quick`, which is params.yaml."""
    return {path.stem: path for path in sorted((root / "presets").glob("*.yaml"))}


def merge(
    base: Mapping[str, Any], root: Path, preset: str | None, overrides: Iterable[str]
) -> dict[str, Any]:
    """`base` with a preset laid over it and then each `KEY=VALUE`, values read as YAML.

    `quick` is params.yaml itself. Of `LENGTHS`, one becomes null if the other alone is given.
    Raises UsageError for an unknown preset or key, and an override of another form.
    """
    merged = dict(base)
    if preset not in (None, "quick"):
        known = presets(root)
        if preset not in known:
            names = ", ".join(["quick", *known])
            hint = suggestion(preset, known)
            raise UsageError(f"no preset '{preset}': the presets are {names}{hint}")
        merged = mappings.overlay(merged, mappings.read(known[preset]), source=known[preset].name)
    given = list(overrides)
    for override in [*given, *mappings.superseded(given, LENGTHS)]:
        values = mappings.from_override(override)
        merged = mappings.overlay(merged, values, source=f"override '{override}'")
    return merged


def check(values: Mapping[str, Any]) -> Params:
    """`values` as `Params`. Raises PipelineError that names each invalid key."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        problems = "\n".join(f"  {_problem(details)}" for details in error.errors())
        raise PipelineError(f"invalid parameters:\n{problems}") from None


def dump(values: Mapping[str, Any]) -> str:
    """`values` as the text of a params.yaml."""
    return yaml.safe_dump(dict(values), sort_keys=False)


def _problem(details: ErrorDetails) -> str:
    """`KEY: what is wrong (found VALUE)`; our own validators say themselves what they found."""
    key = ".".join(map(str, details["loc"]))
    message = details["msg"].removeprefix("Value error, ")
    if details["type"] not in ("missing", "value_error"):
        message += f" (found {details['input']!r})"
    return f"{key}: {message}" if key else message
