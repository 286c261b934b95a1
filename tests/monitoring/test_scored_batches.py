"""A batch is recorded once and completely, in any store."""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet.errors import PipelineError
from resnet.forms.histogram import Histogram
from resnet.monitoring import scored_batches
from resnet.monitoring.features import Features
from resnet.monitoring.scored_batches import ScoredBatch
from resnet.registry import store
from resnet.registry.ledger.event import utc_iso
from resnet.registry.versions import Version

START = datetime(2031, 1, 2, tzinfo=UTC)
RNG = np.random.default_rng(0)
FEATURES = Features.of(
    "image",
    RNG.integers(0, 256, (5, 32, 32, 3), np.uint8),
    RNG.dirichlet(np.ones(3), 5).astype(np.float32),
    ["cat", "dog", "emu"],
)
TRAINING = {"brightness": Histogram(100.0, 8, (1,) * 32), "contrast": Histogram(50.0, 4, (1,) * 32)}


def batch(name: str, version: int = 1, number: int = 0) -> ScoredBatch:
    time = utc_iso(START + timedelta(minutes=number))
    return ScoredBatch(
        name, version, f"{number}", FEATURES, time, "/in|π", "/out", "ann@host", "f" * 36
    )


def version(name: str, number: int = 1) -> Version:
    return Version(name, number, "", "", "", "", "", ())


def test_a_batch_is_read_as_it_was_recorded(any_store: Path) -> None:
    client, name = store.client(any_store), "read-again"
    recorded, new = scored_batches.record(client, batch(name), TRAINING)
    assert new
    assert scored_batches.last(client, version(name), 10) == [recorded]
    assert replace(recorded, id="") == batch(name)
    run = client.get_run(recorded.id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["images"] == 5
    assert run.data.metrics["brightness"] == FEATURES.samples["brightness"].mean
    assert run.data.metrics["brightness_difference"] == FEATURES.samples["brightness"].mean - 100
    assert sum(run.data.metrics[f"share/{one}"] for one in ("cat", "dog", "emu")) == 1


def test_the_same_images_scored_again_by_the_same_version_are_the_same_batch(
    made_store: Path,
) -> None:
    client, name = store.client(made_store), "again"
    first, _ = scored_batches.record(client, batch(name), TRAINING)
    later = replace(batch(name), time=utc_iso(START + timedelta(days=1)), out="/elsewhere")
    assert scored_batches.record(client, later, TRAINING) == (first, False)
    _, new = scored_batches.record(client, batch(name, version=2), TRAINING)
    assert new


class Meeting:
    """A client of MLflow that gives the first search's answer when another process has one too.

    Or after 3 s, if the other is prevented from searching.
    """

    def __init__(self, client: Any, answers: Path) -> None:
        self._client, self._answers = client, answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def search_runs(self, *words: Any, **more: Any) -> Any:
        runs = self._client.search_runs(*words, **more)
        (self._answers / f"{os.getpid()}").touch()
        deadline = time.monotonic() + 3
        while len(list(self._answers.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        return runs


def test_two_hosts_that_record_the_same_batch_at_once_record_it_once(
    any_store: Path,
    fork: Callable[[Callable[[], object]], int],
    wait: Callable[[int], int],
    tmp_path: Path,
) -> None:
    """Hosts share the store and nothing else: no file of the one locks out the other."""
    name = f"hosts-{tmp_path.name}"
    store.experiment(store.client(any_store), name + scored_batches.SUFFIX)

    def record(temporary: Path) -> None:
        temporary.mkdir()
        tempfile.tempdir = str(temporary)
        client = Meeting(store.client(any_store), answers)
        scored_batches.record(client, batch(name), TRAINING)  # type: ignore[arg-type]

    answers = tmp_path / "answers"
    answers.mkdir()
    children = [fork(partial(record, tmp_path / host)) for host in ("one", "other")]
    assert [wait(child) for child in children] == [0, 0]
    assert len(scored_batches.last(store.client(any_store), version(name), 10)) == 1


def test_the_last_batches_are_a_versions_own_as_they_were_recorded_whatever_the_clocks_say(
    made_store: Path,
) -> None:
    client, name = store.client(made_store), "ordered"
    for number in (2, 0, 3, 1):  # a clock that steps back, and forward
        scored_batches.record(client, batch(name, number=number), {})
    scored_batches.record(client, batch(name, version=2, number=9), {})
    batches = scored_batches.last(client, version(name), 3)
    assert [batch.images_hash for batch in batches] == ["0", "3", "1"]
    assert scored_batches.last(client, version("never"), 3) == []


def test_a_batch_of_a_deleted_version_is_not_of_the_one_that_has_its_number_now(
    made_store: Path,
) -> None:
    client, name = store.client(made_store), "anew"
    for recorded in (batch(name), replace(batch(name), images_hash="1", model_hash="old")):
        scored_batches.record(client, recorded, {})
    again, new = scored_batches.record(client, replace(batch(name, number=1), model_hash="new"), {})
    assert new
    batches = scored_batches.last(client, replace(version(name), model_hash="new"), 3)
    assert [one.images_hash for one in batches] == ["0", "1"]  # an earlier release's has no hash
    assert batches[-1] == again


def test_a_killed_record_is_completed_by_the_next(
    made_store: Path, killed: Callable[[Callable[[], object], int], bool]
) -> None:
    writes = 0
    while killed(partial(_record, made_store, f"killed-{writes}"), writes):
        recorded, _ = _record(made_store, f"killed-{writes}")
        client = store.client(made_store)
        assert scored_batches.last(client, version(f"killed-{writes}"), 9) == [recorded]
        assert client.get_run(recorded.id).info.status == "FINISHED"
        assert client.get_run(recorded.id).data.metrics["images"] == 5
        writes += 1
    assert writes == 7  # the lock, the experiment, the run; the lock again, twice; metrics, end


def _record(root: Path, name: str) -> tuple[ScoredBatch, bool]:
    return scored_batches.record(store.client(root), batch(name), TRAINING)


@pytest.mark.parametrize("tag", ["brightness", "classes"])
def test_an_edited_batch_is_named_and_can_be_deleted(made_store: Path, tag: str) -> None:
    client, name = store.client(made_store), f"edited-{tag}"
    recorded, _ = scored_batches.record(client, batch(name), TRAINING)
    client.set_tag(recorded.id, tag, "[]")
    with pytest.raises(
        PipelineError, match=f"run {recorded.id} .*its tags were edited; delete the"
    ):
        scored_batches.last(client, version(name), 1)
    client.delete_run(recorded.id)
    assert scored_batches.last(client, version(name), 1) == []
