"""What a training's MLflow run is called: a preset, and what differs from it."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from resnet import params
from resnet.checkout import git, provenance
from resnet.errors import PipelineError
from resnet.params import Params
from resnet.system import mappings

MAX_DIFFERENCES = 4  # that a name has room for


def run_name(parameters: Params, root: Path) -> str:
    """`quick train.seed=2`: the preset nearest to the parameters, and what differs from it.

    The presets are laid over the params.yaml of the commit, as `resnet run` does it. Without a
    commit there is nothing to compare with, and the network names the run.
    """
    committed, found = _committed(root), {}
    for preset in ("quick", *params.presets(root)):
        with suppress(PipelineError):  # it has a key that the commit's params.yaml lacks
            base = params.check(params.merge(committed, root, preset, ()))
            found[preset] = _differences(base, parameters)
    if not found:
        return f"resnet-{parameters.net.depth}-{parameters.net.block}"
    preset = min(found, key=lambda name: len(found[name]))  # the first of several
    shown, more = found[preset][:MAX_DIFFERENCES], found[preset][MAX_DIFFERENCES:]
    return " ".join([preset, *shown, *([f"and {len(more)} more"] if more else [])])


def _committed(root: Path) -> Mapping[str, Any]:
    """The commit's params.yaml; empty if there is none that can be read."""
    try:
        values = yaml.safe_load(git.run(root, "show", "HEAD:./params.yaml", check=False))
    except yaml.YAMLError:
        return {}
    return values if isinstance(values, Mapping) else {}


def _differences(base: Params, parameters: Params) -> list[str]:
    """The parameters as `key=value` that decide which model comes out, and that `base` lacks.

    Of `epochs` and `steps` one is null, which says nothing beside the other.
    """
    before, after = (
        mappings.flatten(one.model_dump(mode="json", include=provenance.MODEL_SECTIONS))
        for one in (base, parameters)
    )
    return [
        f"{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in after.items()
        if before[key] != value and not (key in params.LENGTHS and value is None)
    ]
