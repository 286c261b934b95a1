"""Read the Free Spoken Digit Dataset: verified .wav files in, recordings and labels out.

recordings/DIGIT_SPEAKER_INDEX.wav, of which the indices 0 to 4 are the test split, as its authors
say. The same six men speak in both splits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from resnet.data.datasets import Dataset
from resnet.forms import files, sample_files
from resnet.forms.names import ONE

TEST = range(5)  # indices


@dataclass(frozen=True)
class Recordings:
    """Recordings in memory, uint8 (N, T, 2), and their labels (N,)."""

    recordings: NDArray[np.uint8]
    labels_n: NDArray[np.uint8]

    def samples(self, indices: NDArray[np.intp]) -> Iterator[NDArray[np.uint8]]:
        """Those recordings, all at once."""
        yield self.recordings[indices]


def read(raw: Path, dataset: Dataset) -> tuple[Recordings, Recordings]:
    """The recordings for training and for testing, ordered by their names.

    Raises PipelineError if a file is no recording.
    """
    names = sorted(dataset.files)
    tested = [name for name in names if _parts(name)[2] in TEST]
    trained = [name for name in names if _parts(name)[2] not in TEST]
    return _read(raw, trained, dataset), _read(raw, tested, dataset)


def _parts(name: str) -> tuple[int, str, int]:
    """The digit, the speaker and the index in a file's name."""
    digit, speaker, index = PurePosixPath(name).stem.split("_")
    return int(digit), speaker, int(index)


def _read(raw: Path, names: list[str], dataset: Dataset) -> Recordings:
    decode = files.of(dataset.form).decode
    entries = ((raw / name, raw / name, lambda file: decode(file, dataset.shape)) for name in names)
    recordings = sample_files.read(entries, ONE[dataset.form], dataset.shape)
    return Recordings(recordings, np.array([_parts(name)[0] for name in names], np.uint8))
