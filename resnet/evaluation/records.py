"""The results of an evaluation as values, written by `evaluate` and read by the registry.

Loads neither keras nor pandas.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from resnet.errors import PipelineError
from resnet.evaluation.metrics import METRICS, Metrics
from resnet.evaluation.scoring_precision import ScoringPrecision
from resnet.system import files


@dataclass(frozen=True)
class Evaluation:
    """The metrics, with the hashes of the model and of the test samples that they belong to."""

    metrics: Metrics
    model_hash: str
    test_hash: str
    names: tuple[str, ...] = tuple(METRICS)  # of its metrics: a later release may declare more
    scoring: ScoringPrecision | None = None  # None in earlier releases

    @classmethod
    def read(cls, path: Path) -> Self:
        """The evaluation in the file `path`. Raises PipelineError where there is none."""
        values = _read(path, files.read_json)
        try:
            return cls.from_dict(values)
        except (KeyError, TypeError, ValueError) as error:
            raise PipelineError(
                f"{path} is not of this version of the code ({error}): run 'resnet evaluate' again"
            ) from None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From the content of metrics.json. Raises KeyError, TypeError or ValueError."""
        metrics = dict(values)
        hashes = {name: metrics.pop(name) for name in ("model_hash", "test_hash")}
        scoring = metrics.pop("scoring", None)
        return cls(
            Metrics(**metrics),
            **hashes,
            names=tuple(metrics),
            scoring=None if scoring is None else ScoringPrecision(**scoring),
        )

    def write(self, path: Path) -> None:
        files.write_json(path, self.as_dict())

    @property
    def hash(self) -> str:
        """SHA-256, hex, of the content of metrics.json: a new one for each evaluation."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """The content of metrics.json."""
        metrics = asdict(self.metrics)
        return {
            **{name: metrics[name] for name in self.names},
            "model_hash": self.model_hash,
            "test_hash": self.test_hash,
            **({"scoring": asdict(self.scoring)} if self.scoring else {}),
        }


@dataclass(frozen=True)
class Predictions:
    """The model's probabilities for every test image, in the split's order, and the labels."""

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
        predictions: Self = _read(path, cls._from_parquet)
        return predictions

    @classmethod
    def _from_parquet(cls, path: Path) -> Self:
        """Raises ValueError where the file's table is not as `write` makes it."""
        import pyarrow.parquet as parquet

        table = parquet.read_table(path)
        names = [name for name in table.column_names if re.fullmatch("p[0-9]+", name)]
        columns = {name: table[name].to_numpy() for name in ("label", *names)}
        dtypes = {name: str(column.dtype) for name, column in columns.items()}
        expected = {"label": "uint8", **dict.fromkeys(names, "float32")}
        if not names or dtypes != expected:
            raise ValueError(
                f"its columns are {dtypes}, wanted label, uint8, and p0, p1, …, float32"
            )
        return cls(columns["label"], np.stack([columns[name] for name in names], axis=1))

    def write(self, path: Path) -> None:
        """As parquet: index, label, predicted, and one probability per class, p0, p1, …"""
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
    """What `reader` reads from `path`, which an evaluation has written."""
    try:
        return reader(path)
    except FileNotFoundError:
        raise PipelineError(f"{path} is not there: run 'resnet evaluate' first") from None
    except (ValueError, OSError, NotImplementedError, KeyError) as error:  # Arrow's are among them
        raise PipelineError(f"{path}: {error}; run 'resnet evaluate' again") from None
