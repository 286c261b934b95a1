"""A report is kept once, and whether an event has told of it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from resnet.monitoring import reports
from resnet.monitoring.reports import Kept
from resnet.registry import store


def keep(root: Path, name: str) -> Kept:
    client = store.client(root)
    return reports.keep(
        client, name, "k" * 64, "version 1: quiet", {"version": "1"}, {"images": 5}, "<p>π</p>"
    )


def test_a_report_is_kept_once_and_opens_in_mlflow(any_store: Path, tmp_path: Path) -> None:
    first, again = keep(any_store, "kept"), keep(any_store, "kept")
    assert first == again
    client = store.client(any_store)
    experiment = client.get_experiment_by_name("kept-monitoring").experiment_id
    assert first.path == f"#/experiments/{experiment}/runs/{first.id}/artifacts/report.html"
    page = client.fetch_artifact(first.id, "report.html", tmp_path)
    assert Path(page).read_text() == "<p>π</p>"
    assert client.get_run(first.id).data.metrics == {"images": 5}


def test_what_an_event_has_told_of_is_remembered(made_store: Path) -> None:
    kept = keep(made_store, "told")
    assert not kept.announced
    reports.announce(store.client(made_store), kept, "an event's id")
    assert keep(made_store, "told").announced


def test_a_killed_report_is_completed_by_the_next(
    made_store: Path, tmp_path: Path, killed: Callable[[Callable[[], object], int], bool]
) -> None:
    writes = 0
    while killed(partial(keep, made_store, f"killed-{writes}"), writes):
        kept = keep(made_store, f"killed-{writes}")
        client = store.client(made_store)
        assert client.get_run(kept.id).info.status == "FINISHED"
        assert client.fetch_artifact(kept.id, "report.html", tmp_path)
        writes += 1
    assert writes == 5  # the experiment, the run, its metrics, the page, its end
