"""What the train stage reads: arrays and profile → splits and data spec in memory."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np

from resnet.data import arrays
from resnet.data.profile import Profile
from resnet.errors import PipelineError
from resnet.forms.data_spec import DataSpec
from resnet.forms.names import NOUNS
from resnet.params import Paths


@dataclass(frozen=True)
class TrainingInputs:
    """What is trained on, in memory: what happens to the files afterwards does not matter."""

    images: arrays.Split
    validation: arrays.Split
    data: DataSpec

    @classmethod
    def read(cls, paths: Paths) -> Self:
        """Raises PipelineError where a file is missing or damaged."""
        images, validation = (arrays.load(paths, name) for name in ("train", "validation"))
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
    profile = Profile.read(path)
    try:
        mean, deviation = ([float(v) for v in profile.values[key]] for key in ("mean", "deviation"))
    except (ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            f"{path} has no mean and deviation ({error!r}): run 'resnet ingest' again"
        ) from error
    if len(mean) != len(deviation) or any(value <= 0 for value in deviation):
        raise PipelineError(
            f"{path} has mean {mean} and deviation {deviation}, want as many numbers each and "
            f"deviations above 0: are all {NOUNS[profile.form]} alike? Run 'resnet ingest' again"
        )
    return DataSpec(profile.form, profile.shape, mean, deviation, len(profile.classes))
