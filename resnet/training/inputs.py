"""What the train stage reads: arrays and profile → splits and data spec in memory."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from resnet.data import arrays
from resnet.errors import PipelineError
from resnet.forms.image.shape import CHANNELS
from resnet.nets.data_spec import DataSpec
from resnet.params import Paths
from resnet.system import files


@dataclass(frozen=True)
class TrainingInputs:
    """What is trained on, in memory: what happens to the files afterwards does not matter."""

    images: arrays.Split
    validation: arrays.Split
    data: DataSpec

    @classmethod
    def read(cls, paths: Paths) -> Self:
        """Raises PipelineError where a file is missing or damaged."""
        images, validation = (arrays.load(paths.arrays, name) for name in ("train", "validation"))
        return cls(images, validation, _data_spec(paths.profile))

    def hash(self, key: str) -> str:
        """SHA-256, hex, of all inputs and of `key`."""
        state = hashlib.sha256(json.dumps([key, asdict(self.data)]).encode())
        for split in (self.images, self.validation):
            for array in (split.images_nhwc, split.labels_n):
                state.update(f"{array.shape}".encode())
                state.update(np.ascontiguousarray(array).data)
        return state.hexdigest()


def _data_spec(path: Path) -> DataSpec:
    try:
        profile: dict[str, Any] = files.read_json(path)
        mean, deviation = profile["mean"], profile["deviation"]
        classes = len(profile["classes"])
    except FileNotFoundError:
        raise PipelineError(f"{path} does not exist: run 'resnet ingest' or 'dvc repro'") from None
    except (ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            f"{path} has no mean, deviation and classes ({error!r}): run 'resnet ingest' again"
        ) from error
    if len(mean) != CHANNELS or len(deviation) != CHANNELS or min(deviation) <= 0:
        raise PipelineError(
            f"{path} has mean {mean} and deviation {deviation}, want {CHANNELS} numbers each and "
            "deviations above 0: are all images alike? Run 'resnet ingest' again"
        )
    return DataSpec(mean, deviation, classes)
