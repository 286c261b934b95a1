"""A report is saved once, and with it whether its event was sent."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from resnet.monitoring import reports
from resnet.monitoring.reports import SavedReport
from resnet.registry import store


def save(root: Path, name: str) -> SavedReport:
    client = store.client(root)
    return reports.save(
        client, name, "k" * 64, "version 1: no drift", {"version": "1"}, {"images": 5}, "<p>π</p>"
    )


def test_a_report_is_saved_once_and_opens_in_mlflow(any_store: Path, tmp_path: Path) -> None:
    first, again = save(any_store, "saved"), save(any_store, "saved")
    assert first == again
    client = store.client(any_store)
    experiment = client.get_experiment_by_name("saved-monitoring")
    assert experiment is not None
    assert (
        first.path
        == f"experiments/{experiment.experiment_id}/runs/{first.id}/artifacts/report.html"
    )
    page = client.fetch_artifact(first.id, "report.html", tmp_path)
    assert Path(page).read_text() == "<p>π</p>"
    assert client.get_run(first.id).data.metrics == {"images": 5}


def test_a_sent_event_is_remembered(made_store: Path) -> None:
    saved = save(made_store, "sent")
    assert not saved.event_sent
    reports.mark_event_sent(store.client(made_store), saved, "an event's id")
    assert save(made_store, "sent").event_sent


def test_a_killed_report_is_completed_by_the_next(
    made_store: Path, tmp_path: Path, killed: Callable[[Callable[[], object], int], bool]
) -> None:
    writes = 0
    while killed(partial(save, made_store, f"killed-{writes}"), writes):
        saved = save(made_store, f"killed-{writes}")
        client = store.client(made_store)
        assert client.get_run(saved.id).info.status == "FINISHED"
        assert client.fetch_artifact(saved.id, "report.html", tmp_path)
        writes += 1
    assert writes == 5  # the experiment, the run, its metrics, the page, its end
