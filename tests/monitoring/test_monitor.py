"""A version's last batches are compared with what it knows, from the registry to a report in it."""

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
from resnet.monitoring.monitor import Report, announce, monitor
from resnet.monitoring.scored_batches import Batch
from resnet.registry import store, versions
from resnet.serving.predict import Scorer

RULES = params.Monitor(batches=2, images=100, significance=0.01, distance=0.1)
CLASSES = ("dark", "red", "green", "blue")
Score = Callable[[np.ndarray, int], Batch]


@pytest.fixture(scope="module")
def score(registry: Path, model: Path) -> Score:
    """Record images as scored by version 1 at a minute."""
    client, scorer = store.client(registry), Scorer(model_file.load(model))

    def one(images: np.ndarray, minute: int) -> Batch:
        features = Features.of(images, scorer(images), CLASSES)
        time = f"2031-01-02T03:{minute:02}:00.000+00:00"
        batch = Batch("colours", 1, f"{minute}", features, time, "/in", "/out", "ann@host")
        return scored_batches.record(client, batch, {})[0]

    return one


def look(registry: Path, count: int | None = None, selector: str = "production") -> Report:
    return monitor(registry, "colours", selector, RULES, count)


def test_a_version_that_has_scored_nothing_has_too_few_images(registry: Path) -> None:
    report = look(registry)
    assert report.drift.verdict == "Too few images"
    assert "no batch that colours version 1 has scored" in str(report)


def test_batches_like_the_known_images_are_quiet_and_darker_ones_have_drifted(
    registry: Path, score: Score, colours: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    for minute in (1, 2):
        score(colours(300, seed=minute), minute)
    quiet = look(registry)
    assert quiet.drift.verdict == "Quiet"

    score((colours(300, seed=3) * 0.5).astype(np.uint8), 3)
    drifted = look(registry)
    assert drifted.drift.verdict == "Drifted"
    assert set(drifted.drift.drifted) >= {"brightness", "contrast"}
    assert [batch.images_hash for batch in drifted.drift.batches] == ["2", "3"]
    assert look(registry, count=1).drift.drifted.keys() == drifted.drift.drifted.keys()

    client = store.client(registry)
    metrics = client.get_run(drifted.kept.id).data.metrics
    assert (metrics["drifted"], metrics["images"], metrics["batches"]) == (1, 600, 2)
    assert metrics["farthest/brightness"] == drifted.drift.drifted["brightness"]
    page = client.fetch_artifact(drifted.kept.id, reports.REPORT_FILE, tmp_path)
    assert Path(page).read_text() == drifted.html
    assert drifted.address.endswith(f"/runs/{drifted.kept.id}/artifacts/report.html")


def test_a_browser_shows_the_report_with_its_pictures_and_without_an_error(
    registry: Path,
    score: Score,
    colours: Callable[..., np.ndarray],
    tmp_path: Path,
    browse: Callable[..., Any],
) -> None:
    score((colours(300, seed=4) * 0.5).astype(np.uint8), 4)
    report = look(registry)
    page = tmp_path / "report.html"
    page.write_text(report.html)
    seen = browse(page)
    assert seen.errors == ()
    assert "colours version 1" in seen.title
    assert len(seen.pictures) == report.html.count("<img ") > 1
    assert "brightness" in seen.text
    assert browse(page, width=400).width == 400


def test_the_same_batches_make_one_report_which_is_told_of_once(
    registry: Path, score: Score, colours: Callable[..., np.ndarray]
) -> None:
    score(colours(300, seed=4), 4)
    first = look(registry)
    assert not first.kept.announced
    announce(registry, first, "an event's id")
    again = look(registry)
    assert (again.kept.id, again.kept.announced) == (first.kept.id, True)
    score(colours(300, seed=5), 5)
    assert not look(registry).kept.announced


def test_a_version_whose_profile_is_older_is_refused_with_what_to_do(registry: Path) -> None:
    with pytest.raises(PipelineError, match=r"no brightness and no contrast.*'resnet run'"):
        look(registry, selector="2")


def test_a_profile_that_was_damaged_is_named(registry: Path) -> None:
    client = store.client(registry)
    version = versions.resolve(client, "colours", 2)
    profile = {"classes": CLASSES, "brightness": [1, 2], "contrast": {}}
    client.log_dict(version.run_id, profile, versions.PROFILE_FILE)
    with pytest.raises(PipelineError, match="holds no brightness and contrast that can be read"):
        look(registry, selector="2")


@pytest.mark.parametrize("count", [0, 1001])
def test_no_batch_and_too_many_cannot_be_asked_for(registry: Path, count: int) -> None:
    with pytest.raises(PipelineError, match=f"{count} batches cannot be compared: want 1 to 1000"):
        look(registry, count)
