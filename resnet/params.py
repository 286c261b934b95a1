"""Read params.yaml, a preset and overrides into one frozen, strict `Params`.

params.yaml + presets/NAME.yaml + KEY=VALUE → `Params`. This module is the only reader of
params.yaml; every other one is handed the section that it needs.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from resnet.errors import PipelineError
from resnet.system import files

Share = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
MOST_BATCHES = 1000  # that `monitor` looks at
BatchCount = Annotated[int, Field(ge=1, le=MOST_BATCHES)]


class Section(BaseModel):
    """A mapping of params.yaml: it has every key, no other, and nobody changes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Annotation = Literal["near-duplicates", "label-errors", "human-labels"]


class Data(Section):
    dataset: Literal["cifar10", "generated"]
    validation: Annotated[int, Field(ge=0)]
    seed: Annotated[int, Field(ge=0)]


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
            pairs = max(1, pairs)
            nearest = [unit * (pairs + k) + 2 for k in (0, 1)]
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
    precision: Literal["float32", "bfloat16"]
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
    def what_only_jax_can(self) -> Self:
        for key, plain in (("devices", 1), ("precision", "float32")):
            if self.backend == "tensorflow" and getattr(self, key) != plain:
                raise ValueError(
                    f"{key} is {getattr(self, key)} and backend is tensorflow, whose engine knows "
                    f"only {plain}: set backend to jax, or {key} to {plain}"
                )
        return self


class Evaluate(Section):
    batch: PositiveInt
    bins: PositiveInt
    mistakes: PositiveInt
    annotations: tuple[Annotation, ...]


class Gate(Section):
    floor: Share
    class_floor: Share
    margin: Share
    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    calibration_error: Share
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
    predictions: Path
    per_class: Path
    confusion: Path
    reliability: Path
    subsets: Path
    pictures: Path

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


class Params(Section):
    """All of params.yaml, checked."""

    data: Data
    net: Net
    train: Train
    evaluate: Evaluate
    gate: Gate
    monitor: Monitor
    paths: Paths
    runtime: Runtime

    @property
    def model_name(self) -> str:
        """The registered model's name: a stand-in's versions never mix with CIFAR-10's."""
        return f"{self.data.dataset}-resnet"


def load(root: Path) -> Params:
    """The parameters of the checkout at `root`. Raises PipelineError where they are wrong."""
    return check(read(root))


def read(root: Path) -> dict[str, Any]:
    """params.yaml as it stands, unchecked."""
    return _mapping(root / "params.yaml")


def presets(root: Path) -> dict[str, Path]:
    """The file of each preset by its name, in order; not `quick`, which is params.yaml itself."""
    return {path.stem: path for path in sorted((root / "presets").glob("*.yaml"))}


def merge(
    base: Mapping[str, Any], root: Path, preset: str | None, overrides: Iterable[str]
) -> dict[str, Any]:
    """`base` with a preset laid over it and then each `KEY=VALUE`, values read as YAML.

    `quick` is params.yaml itself. Raises PipelineError for a preset that is not there, an override
    that is not of the form section.key=value, and for a key that params.yaml does not have.
    """
    merged = dict(base)
    if preset not in (None, "quick"):
        known = presets(root)
        if preset not in known:
            names = ", ".join(["quick", *known])
            raise PipelineError(f"no preset '{preset}': the presets are {names}")
        merged = _overlay(merged, _mapping(known[preset]), source=known[preset].name)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not (equals and key):
            raise PipelineError(
                f"override '{override}': want section.key=value, such as train.epochs=3"
            )
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise PipelineError(f"override '{override}': '{text}' is not YAML: {error}") from None
        for part in reversed(key.split(".")):
            value = {part: value}
        merged = _overlay(merged, value, source=f"override '{override}'")
    return merged


def anchored(values: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """`values` for a reader elsewhere: a relative paths.archive is meant from `root`, ~ is home."""
    archive = values["paths"]["archive"]
    if not archive:
        return dict(values)
    path = root / Path(archive).expanduser()
    return {**values, "paths": {**values["paths"], "archive": str(path)}}


def check(values: Mapping[str, Any]) -> Params:
    """`values` as `Params`. Raises PipelineError that names each wrong key."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        wrong = [
            f"  {'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}"
            + ("" if one["type"] in ("missing", "value_error") else f" (found {one['input']!r})")
            for one in error.errors()
        ]
        raise PipelineError("the parameters are wrong:\n" + "\n".join(wrong)) from None


def dump(values: Mapping[str, Any]) -> str:
    """`values` as the text of a params.yaml."""
    return yaml.safe_dump(dict(values), sort_keys=False)


def flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"train": {"epochs": 3}} → {"train.epochs": 3}: by the keys that overrides have."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": leaf for inner, leaf in flatten(value).items()}
        else:
            flat[key] = value
    return flat


def _mapping(path: Path) -> dict[str, Any]:
    try:
        values = files.read_yaml(path)
    except FileNotFoundError:
        raise PipelineError(f"{path} is not there: run this in a checkout of the project") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path} is not YAML: {error}") from None
    if not isinstance(values, dict):
        raise PipelineError(f"{path} holds no sections of keys and values, but {values!r:.40}")
    return values


def _overlay(base: Mapping[str, Any], over: Mapping[str, Any], source: str) -> dict[str, Any]:
    """`over` laid on `base`, mapping by mapping; a key that `base` lacks is an error."""
    merged = dict(base)
    for key, value in over.items():
        if key not in base:
            raise PipelineError(f"{source}: there is no '{key}' here, only {', '.join(base)}")
        if isinstance(base[key], Mapping):
            if not isinstance(value, Mapping):
                raise PipelineError(f"{source}: '{key}' is a section; name one of its keys")
            value = _overlay(base[key], value, source)
        merged[key] = value
    return merged
