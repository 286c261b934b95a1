"""What a version scores is recorded once, after the predictions are in their file."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from resnet.errors import PipelineError
from resnet.model import backend
from resnet.monitoring import scored_batches
from resnet.monitoring.scored_batches import ScoredBatch
from resnet.registry import store, versions
from resnet.serving.score_batch import score_registered

from mlflow.exceptions import MlflowException


def write(path: Path, images: np.ndarray) -> Path:
    column = pa.array(list(images.reshape(len(images), -1)), pa.list_(pa.uint8()))
    parquet.write_table(pa.table({"image": column}), path)
    return path


def recorded(root: Path, version: int = 1) -> list[ScoredBatch]:
    client = store.client(root)
    return scored_batches.last(client, versions.resolve(client, "colours", version), 100)


def test_a_batch_is_written_and_recorded_with_the_version_that_answered(
    registry: Path, colours: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    source, out = write(tmp_path / "in.parquet", colours(40, seed=1)), tmp_path / "out.parquet"
    before = datetime.now(UTC)
    scored = score_registered(registry, "colours", "production", source, out, flow_run="f" * 36)

    rows = parquet.read_table(out)
    assert rows.schema.field("time").type == pa.timestamp("us", "UTC")
    (time,) = set(rows["time"].to_pylist())
    assert before <= time <= datetime.now(UTC)
    assert set(rows["version"].to_pylist()) == {1}

    batch = recorded(registry)[-1]
    assert batch == scored.batch
    assert scored.new
    assert (batch.source, batch.out, batch.flow_run) == (str(source), str(out), "f" * 36)
    assert datetime.fromisoformat(batch.time) == time.replace(
        microsecond=time.microsecond // 1000 * 1000
    )
    predicted = np.bincount(rows["predicted"].to_numpy(), minlength=4).tolist()
    assert list(batch.features.classes.values()) == predicted
    assert batch.features.confidence.mean == pytest.approx(rows["confidence"].to_numpy().mean())
    assert "from the training images'" in str(scored)
    assert str(scored).endswith("recorded in colours-batches")


def test_scoring_again_writes_again_and_records_nothing(
    registry: Path, colours: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    source = write(tmp_path / "in.parquet", colours(10, seed=2))
    score_registered(registry, "colours", "1", source, tmp_path / "a.parquet")
    number = len(recorded(registry))
    again = score_registered(registry, "colours", "1", source, tmp_path / "b.parquet")
    assert (tmp_path / "b.parquet").exists()
    assert len(recorded(registry)) == number
    assert "already recorded in colours-batches: this version has scored the same" in str(again)


def test_a_batch_that_is_not_to_be_recorded_is_not(
    registry: Path, colours: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    source = write(tmp_path / "in.parquet", colours(10, seed=3))
    number = len(recorded(registry))
    scored = score_registered(
        registry, "colours", "1", source, tmp_path / "a.parquet", record=False
    )
    assert (scored.batch, len(recorded(registry))) == (None, number)


@pytest.mark.parametrize(
    ("version", "flags", "precision", "said"),
    [
        ("1", {"amx_bf16"}, "bfloat16", ["scoring in bfloat16: they agree"]),
        ("1", {"avx2"}, "float32", []),
        (
            "2",
            {"amx_bf16"},
            "float32",
            ["scoring in float32: its evaluation, of an earlier release"],
        ),
    ],
)
def test_a_version_scores_in_bfloat16_only_where_its_evaluation_compared_it_and_every_row_says_so(
    registry: Path,
    colours: Callable[..., np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    flags: set[str],
    precision: str,
    said: list[str],
) -> None:
    cpu = backend.cpu_model()
    monkeypatch.setattr(backend, "cpu_model", lambda: cpu)
    monkeypatch.setattr(backend, "cpu_flags", lambda: flags)
    source, out = write(tmp_path / "in.parquet", colours(20, seed=9)), tmp_path / "out.parquet"
    lines: list[str] = []
    score_registered(registry, "colours", version, source, out, record=False, say=lines.append)
    assert set(parquet.read_table(out)["precision"].to_pylist()) == {precision}
    heard = [line for line in lines if line.startswith("scoring in")]
    assert [line[: len(start)] for line, start in zip(heard, said, strict=True)] == said


def test_a_version_whose_evaluation_cannot_be_read_scores_in_float32_and_says_so(
    registry: Path,
    colours: Callable[..., np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = store.client(registry)
    evaluated = versions.resolve(client, "colours", 1).evaluation_hash
    client.set_model_version_tag("colours", "1", "evaluation_hash", "0" * 64)
    monkeypatch.setattr(backend, "cpu_flags", lambda: {"amx_bf16"})
    source, out = write(tmp_path / "in.parquet", colours(20, seed=9)), tmp_path / "out.parquet"
    lines: list[str] = []
    score_registered(registry, "colours", "1", source, out, record=False, say=lines.append)
    client.set_model_version_tag("colours", "1", "evaluation_hash", evaluated)
    assert "scoring in float32: colours version 1 (production): its evaluation/metrics" in lines[0]


def test_an_older_versions_batch_is_recorded_without_a_comparison(
    registry: Path, colours: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    source = write(tmp_path / "in.parquet", colours(10, seed=4))
    scored = score_registered(registry, "colours", "2", source, tmp_path / "a.parquet")
    (batch,) = recorded(registry, 2)
    assert "training" not in str(scored)
    metrics = store.client(registry).get_run(batch.id).data.metrics
    assert metrics["brightness"] == batch.features.samples["brightness"].mean
    assert "brightness_difference" not in metrics


def test_where_the_registry_takes_no_record_the_predictions_are_kept_and_the_error_says_so(
    registry: Path,
    colours: Callable[..., np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, out = write(tmp_path / "in.parquet", colours(10, seed=5)), tmp_path / "out.parquet"
    monkeypatch.setattr(store, "client", lambda root, opened=store.client: ReadOnly(opened(root)))
    with pytest.raises(PipelineError, match=r"out.parquet is written, 10 images.*not recorded"):
        score_registered(registry, "colours", "1", source, out)
    assert parquet.read_table(out).num_rows == 10


class ReadOnly:
    """A client of a store that lets its user read only."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("create_", "log_", "set_")):
            raise MlflowException("Permission denied")
        return getattr(self._client, name)
