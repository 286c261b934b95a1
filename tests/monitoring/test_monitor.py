"""A version's last batches are compared with its reference data, from registry to report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet import params
from resnet.errors import PipelineError
from resnet.model import model_file
from resnet.monitoring import reports, scored_batches
from resnet.monitoring.features import Features
from resnet.monitoring.monitor import DriftReport, mark_event_sent, monitor
from resnet.monitoring.scored_batches import ScoredBatch
from resnet.registry import links, store, versions
from resnet.serving.predict import Scorer

RULES = params.Monitor(batches=2, images=100, significance=0.01, distance=0.1)
CLASSES = ("dark", "red", "green", "blue")
Score = Callable[[np.ndarray, int], ScoredBatch]


@pytest.fixture(scope="module")
def score(registry: Path, model: Path) -> Score:
    """Record images as scored by version 1 at a minute."""
    client, scorer = store.client(registry), Scorer(model_file.load(model))

    def one(images: np.ndarray, minute: int) -> ScoredBatch:
        features = Features.of("image", images, scorer(images), CLASSES)
        time = f"2031-01-02T03:{minute:02}:00.000+00:00"
        batch = ScoredBatch("colours", 1, f"{minute}", features, time, "/in", "/out", "ann@host")
        return scored_batches.record(client, batch, {})[0]

    return one


def monitored(
    registry: Path, count: int | None = None, selector: str = "production"
) -> DriftReport:
    return monitor(registry, "colours", selector, RULES, count)


def test_a_version_that_has_scored_nothing_has_not_enough_images(registry: Path) -> None:
    report = monitored(registry)
    assert report.drift.state == "Not enough samples"
    assert "colours version 1 has scored no batch" in str(report)


def test_batches_like_the_reference_match_and_darker_ones_have_drifted(
    registry: Path, score: Score, colours: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    for minute in (1, 2):
        score(colours(300, seed=minute), minute)
    unchanged = monitored(registry)
    assert unchanged.drift.state == "No drift"

    score((colours(300, seed=3) * 0.5).astype(np.uint8), 3)
    drifted = monitored(registry)
    assert drifted.drift.state == "Drift"
    assert set(drifted.drift.drifted) >= {"brightness", "contrast"}
    assert [batch.images_hash for batch in drifted.drift.batches] == ["2", "3"]
    assert monitored(registry, count=1).drift.drifted.keys() == drifted.drift.drifted.keys()

    client = store.client(registry)
    metrics = client.get_run(drifted.saved.id).data.metrics
    assert (metrics["drifted"], metrics["images"], metrics["batches"]) == (1, 600, 2)
    assert metrics["farthest/brightness"] == drifted.drift.drifted["brightness"]
    page = client.fetch_artifact(drifted.saved.id, reports.REPORT_FILE, tmp_path)
    assert Path(page).read_text() == drifted.html
    assert drifted.address.endswith(f"/runs/{drifted.saved.id}/artifacts/report.html{links.VIEW}")


def test_a_browser_shows_the_report_with_its_pictures_and_without_an_error(
    registry: Path,
    score: Score,
    colours: Callable[..., np.ndarray],
    tmp_path: Path,
    browse: Callable[..., Any],
) -> None:
    score((colours(300, seed=4) * 0.5).astype(np.uint8), 4)
    report = monitored(registry)
    page = tmp_path / "report.html"
    page.write_text(report.html)
    shown = browse(page)
    assert shown.errors == ()
    assert "colours version 1" in shown.title
    assert len(shown.pictures) == report.html.count("<img ") > 1
    assert "brightness" in shown.text
    assert browse(page, width=400).width == 400


def test_the_same_batches_make_one_report_whose_event_is_sent_once(
    registry: Path, score: Score, colours: Callable[..., np.ndarray]
) -> None:
    score(colours(300, seed=4), 4)
    first = monitored(registry)
    assert not first.saved.event_sent
    mark_event_sent(registry, first, "an event's id")
    again = monitored(registry)
    assert (again.saved.id, again.saved.event_sent) == (first.saved.id, True)
    score(colours(300, seed=5), 5)
    assert not monitored(registry).saved.event_sent


def test_a_version_whose_profile_is_older_is_refused_with_what_to_do(registry: Path) -> None:
    with pytest.raises(PipelineError, match=r"no brightness and no contrast.*'resnet run'"):
        monitored(registry, selector="2")


def test_a_profile_that_was_damaged_is_named(registry: Path) -> None:
    client = store.client(registry)
    version = versions.resolve(client, "colours", 2)
    profile = {"classes": CLASSES, "brightness": [1, 2], "contrast": {}}
    client.log_dict(version.run_id, profile, versions.PROFILE_FILE)
    with pytest.raises(PipelineError, match="holds no readable brightness and contrast"):
        monitored(registry, selector="2")


@pytest.mark.parametrize("count", [0, 1001])
def test_no_batch_and_too_many_cannot_be_asked_for(registry: Path, count: int) -> None:
    with pytest.raises(PipelineError, match=f"{count} batches cannot be compared: want 1 to 1000"):
        monitored(registry, count)
