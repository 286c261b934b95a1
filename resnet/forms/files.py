"""The files of samples: the door to the module `files` of each form."""

import io
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from resnet.forms.names import FormName


class Files(Protocol):
    """What a form's module has."""

    SUFFIXES: Collection[str]
    """Of its files, in small letters."""

    COLUMN: str
    """Of a parquet file with samples."""

    def decode(self, file: Path | io.BytesIO, shape: Sequence[int], /) -> npt.NDArray[np.uint8]:
        """A file as a sample, uint8 of `shape`. Raises one of `sample_files.UNREADABLE`."""


def of(form: FormName) -> Files:
    """The module of `form`."""
    match form:
        case "image":
            from resnet.forms.image import files

            return files
        case "wave":
            from resnet.forms.wave import files as of_waves

            return of_waves
