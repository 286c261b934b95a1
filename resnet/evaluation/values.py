"""What an evaluation leaves behind, as values: read here by whoever compares or registers models.

Loads neither keras nor pandas.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from resnet import params
from resnet.errors import PipelineError
from resnet.system import files


@dataclass(frozen=True)
class Metrics:
    """Every number about one model on one test split; shares are 0 to 1."""

    accuracy: float
    accuracy_low: float  # 95 % interval of the accuracy
    accuracy_high: float
    loss: float  # mean cross-entropy, in nats
    top2: float
    calibration_error: float
    parameters: int  # trainable
    flops: int  # of one image
    size_bytes: int  # of the model's file
    latency_ms: float  # of one image
    throughput: float  # images a second, 256 a call
    correct: int
    images: int
    # After logits are divided by the temperature that fits the validation images best.
    temperature: float | None = None  # None without validation images
    calibration_error_scaled: float | None = None
    # By what others found out about the test images; None where that was not asked for.
    accuracy_near_duplicates: float | None = None  # of those that are nearly training images
    accuracy_without_near_duplicates: float | None = None
    accuracy_without_label_errors: float | None = None
    accuracy_without_both: float | None = None
    human_cross_entropy: float | None = None  # against what people chose, in nats
    human_entropy: float | None = None  # of what people chose: the least that it can be


@dataclass(frozen=True)
class Evaluation:
    """The metrics, and the model and the test images that they belong to, by their hashes."""

    metrics: Metrics
    model_hash: str
    test_hash: str

    @classmethod
    def read(cls, paths: params.Paths) -> Self:
        """The evaluation in `paths.metrics`. Raises PipelineError where there is none."""
        values = _read(paths.metrics, files.read_json)
        try:
            hashes = {name: values.pop(name) for name in ("model_hash", "test_hash")}
            return cls(Metrics(**values), **hashes)
        except (AttributeError, KeyError, TypeError) as error:
            raise PipelineError(
                f"{paths.metrics} is not this version's: {error}; run 'resnet evaluate' again"
            ) from None

    def write(self, paths: params.Paths) -> None:
        files.write_json(paths.metrics, self._flat())

    @property
    def hash(self) -> str:
        """SHA-256, hex, of all that `paths.metrics` says: a new one for each evaluation."""
        return hashlib.sha256(json.dumps(self._flat(), sort_keys=True).encode()).hexdigest()

    def _flat(self) -> dict[str, Any]:
        return {
            **asdict(self.metrics),
            "model_hash": self.model_hash,
            "test_hash": self.test_hash,
        }


@dataclass(frozen=True)
class Predictions:
    """What the model said of every test image, in the split's order."""

    labels_n: NDArray[np.uint8]  # (N,)
    probabilities_nk: NDArray[np.float32]  # (N, K)

    @property
    def predicted_n(self) -> NDArray[np.uint8]:
        """The likeliest class of each image."""
        return np.asarray(self.probabilities_nk.argmax(axis=1), np.uint8)

    @property
    def confidence_n(self) -> NDArray[np.float32]:
        """The likeliest class's probability."""
        return np.asarray(self.probabilities_nk.max(axis=1))

    @property
    def correct_n(self) -> NDArray[np.bool_]:
        """Whether the likeliest class is the label."""
        return np.asarray(self.predicted_n == self.labels_n)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The predictions in the parquet file `path`. Raises PipelineError where there are none."""
        found: Self = _read(path, cls._of)
        return found

    @classmethod
    def _of(cls, path: Path) -> Self:
        """Raises ValueError where the file's table is not as `write` makes it."""
        import pyarrow.parquet as parquet

        table = parquet.read_table(path)
        names = [name for name in table.column_names if re.fullmatch("p[0-9]+", name)]
        columns = {name: table[name].to_numpy() for name in ("label", *names)}
        found = {name: str(column.dtype) for name, column in columns.items()}
        wanted = {"label": "uint8", **dict.fromkeys(names, "float32")}
        if not names or found != wanted:
            raise ValueError(
                f"its columns are {found}, wanted label, uint8, and p0, p1, …, float32"
            )
        return cls(columns["label"], np.stack([columns[name] for name in names], axis=1))

    def write(self, path: Path) -> None:
        """As parquet: index, label, predicted, and a probability a class, p0, p1, …"""
        import pyarrow as pa
        import pyarrow.parquet as parquet

        table = pa.table(
            {
                "index": np.arange(len(self.labels_n), dtype=np.int32),
                "label": self.labels_n,
                "predicted": self.predicted_n,
                **probability_columns(self.probabilities_nk),
            }
        )
        with files.replacing(path) as draft:
            parquet.write_table(table, draft)


def probability_columns(probabilities_nk: np.ndarray) -> dict[str, np.ndarray]:
    """The columns p0, p1, … of a table of predictions."""
    return {f"p{k}": column for k, column in enumerate(probabilities_nk.T)}


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    """What `reader` reads in `path`, which an evaluation has written."""
    try:
        return reader(path)
    except FileNotFoundError:
        raise PipelineError(f"{path} is not there: run 'resnet evaluate' first") from None
    except (ValueError, OSError, NotImplementedError, KeyError) as error:  # Arrow's are among them
        raise PipelineError(f"{path}: {error}; run 'resnet evaluate' again") from None
