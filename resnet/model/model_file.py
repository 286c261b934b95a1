"""The published model as a file: equal models have equal bytes and the same hash.

A published model consists of Keras's own layers: uint8 images (N, H, W, C) → float32
probabilities (N, K). Loading it needs none of this project's code.
"""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from resnet.errors import PipelineError
from resnet.system import files

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip archive can hold


def save(model: keras.Model, path: Path) -> None:
    """Write `model` to `path`, a .keras archive that holds no time."""
    with files.replacing(path) as draft:
        model.save(draft)
        draft.write_bytes(_canonical(draft.read_bytes()))


def load(path: Path) -> keras.Model:
    """The model in `path`; code from outside Keras is refused.

    Raises PipelineError where the file does not exist or holds no model.
    """
    if not path.exists():
        raise PipelineError(f"{path}: there is no model; train one with 'resnet train'")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise PipelineError(
            f"{path} holds no model that Keras can load ({error}): train it again with "
            "'resnet train'"
        ) from error


def model_hash(model: keras.Model) -> str:
    """The SHA-256, in hex, of the architecture's JSON and each weight's path, dtype, shape, bytes.

    Weights are in the order of their paths. A loaded model has the hash of the saved one.
    """
    architecture = json.dumps(json.loads(model.to_json()), sort_keys=True)
    state = hashlib.sha256(architecture.encode())
    for weight in sorted(model.weights, key=lambda weight: str(weight.path)):
        values = np.ascontiguousarray(weight.numpy())
        state.update(f"\n{weight.path} {values.dtype} {values.shape}\n".encode())
        state.update(values.tobytes())
    return state.hexdigest()


def _canonical(archive: bytes) -> bytes:
    """The same archive, its members sorted by name, without times and memory addresses."""
    rewritten = {"metadata.json": _undated, "config.json": _unaddressed}
    canonical = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(canonical, "w") as new:
        for name in sorted(old.namelist()):
            content = old.read(name)
            if name in rewritten:
                content = json.dumps(rewritten[name](content)).encode()
            new.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), content)
    return canonical.getvalue()


def _undated(metadata: bytes) -> Any:
    return json.loads(metadata) | {"date_saved": "1980-01-01@00:00:00"}


def _unaddressed(config: bytes) -> Any:
    """The config without the memory addresses by which Keras marks objects that layers share.

    The published models share only dtype policies, of which copies serve as well.
    """

    def unaddressed(part: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in part.items() if key != "shared_object_id"}

    return json.loads(config, object_hook=unaddressed)
