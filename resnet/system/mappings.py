"""Nested mappings: made from an override, laid over another, compared, by dotted keys."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from resnet.errors import PipelineError, UsageError
from resnet.messages.spelling import suggestion
from resnet.system import files


def read(path: Path) -> dict[str, Any]:
    """The sections of a YAML file such as params.yaml. Raises PipelineError without any."""
    try:
        values = files.read_yaml(path)
    except FileNotFoundError:
        raise PipelineError(f"{path} is not there: run this in a checkout of the project") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path} is not YAML: {error}") from None
    if not isinstance(values, dict):
        raise PipelineError(f"{path} is not a mapping of sections (found {values!r:.40})")
    return values


def from_override(text: str) -> dict[str, Any]:
    """`train.epochs=3` → {"train": {"epochs": 3}}, the value read as YAML.

    Raises UsageError where it has another form.
    """
    key, equals, value_text = text.partition("=")
    if not (equals and key):
        raise UsageError(f"override '{text}': want section.key=value, such as train.epochs=3")
    try:
        value = yaml.safe_load(value_text)
    except yaml.YAMLError as error:
        raise UsageError(f"override '{text}': '{value_text}' is not YAML: {error}") from None
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def superseded(overrides: Iterable[str], pair: tuple[str, str]) -> list[str]:
    """The override that makes one key of the pair null, where the other alone is given a value."""
    given = dict(override.partition("=")[::2] for override in overrides)
    return [
        f"{key}=null"
        for key, other in (pair, pair[::-1])
        if key not in given and given.get(other, "null") != "null"
    ]


def overlay(base: Mapping[str, Any], over: Mapping[str, Any], source: str) -> dict[str, Any]:
    """`over` laid over `base`, mapping by mapping.

    Raises UsageError, which begins with `source`, for a key that `base` lacks.
    """
    merged = dict(base)
    for key, value in over.items():
        if key not in base:
            raise UsageError(
                f"{source}: there is no '{key}' here, only {', '.join(base)}{_meant(key, base)}"
            )
        if isinstance(base[key], Mapping):
            if not isinstance(value, Mapping):
                raise UsageError(f"{source}: '{key}' is a section; name one of its keys")
            value = overlay(base[key], value, source)
        merged[key] = value
    return merged


def _meant(key: str, base: Mapping[str, Any]) -> str:
    """A suggestion of what the unknown `key` means: one like it, or one inside a section."""
    inside = [dotted for dotted in flatten(base) if dotted.endswith(f".{key}")]
    return f"; did you mean '{inside[0]}'?" if inside else suggestion(key, base)


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"train.epochs": 3} → {"train": {"epochs": 3}}: the inverse of `flatten`."""
    values: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, name = key.split(".")
        section = values
        for part in sections:
            section = section.setdefault(part, {})
        section[name] = value
    return values


def flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"train": {"epochs": 3}} → {"train.epochs": 3}"""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": leaf for inner, leaf in flatten(value).items()}
        else:
            flat[key] = value
    return flat


def at(values: Mapping[str, Any], key: str) -> Any:
    """{"data": {"seed": 0}}, "data.seed" → 0; None if there is no such key."""
    value: Any = values
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def changes(old: Mapping[str, Any], new: Mapping[str, Any], absent: object = None) -> list[str]:
    """`key old → new` for each key that `different` gives; `absent` stands for a missing value."""
    return [f"{key} {old.get(key, absent)} → {new.get(key, absent)}" for key in different(old, new)]


def different(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The keys that only one of the two has, or that have another value, in order."""
    return [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
