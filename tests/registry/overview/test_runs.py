"""`resnet runs` without a Prefect server: the trainings, in a real SQLite store."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from resnet import cli
from resnet.registry import store
from resnet.registry.overview import runs
from resnet.system import addresses, processes
from tests.support import REPOSITORY


@pytest.fixture(scope="module")
def trained(made_store: Path) -> Path:
    """A checkout with trainings of `trained`: finished, stopped, and killed on this machine."""
    for file in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / file, made_store)
    client = store.client(made_store)
    experiment = store.experiment(client, "trained")
    endings = {
        "done": ("FINISHED", {}),
        "stopped": ("KILLED", {"stopped": "training was told to end after step 3\nresume it"}),
        "broken": ("FAILED", {"failure": "the loss is NaN"}),
    }
    for second, (name, (status, tags)) in enumerate(endings.items(), start=1):
        run = client.create_run(experiment, start_time=1000 * second, tags=tags, run_name=name)
        client.set_terminated(run.info.run_id, status)
    return made_store


def test_trainings_are_listed_newest_first_and_failed_ones_with_their_reasons(
    trained: Path,
    enter: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enter(trained)
    monkeypatch.setenv("RESNET_PREFECT_PORT", str(addresses.free_port()))
    assert cli.main(["runs", "--model", "trained"]) == 0
    notice, heading, *rows = capsys.readouterr().out.splitlines()
    assert notice.startswith("no Prefect server is running")
    assert heading.split()[0] == "BEGUN"
    assert [row.split()[2] for row in rows[:3]] == ["broken", "stopped", "done"]
    assert cli.main(["runs", "--model", "trained", "--failed", "--last", "2"]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert rows[0].endswith("  the loss is NaN")
    assert rows[1].endswith("  training was told to end after step 3")
    assert "/#/experiments/" in rows[2]


def test_a_training_whose_process_was_killed_does_not_count_as_running(trained: Path) -> None:
    client = store.client(trained)
    experiment = store.experiment(client, "killed")
    client.create_run(experiment, run_name="alive")
    assert (
        runs.report(trained, "killed", failed=True, number=5) == "no training of killed has failed"
    )
    host, pid, _, system = processes.identity().split(" ")
    before = f"{host} {pid} 0 {system}"  # the process that had this one's id before
    client.create_run(experiment, run_name="dead", tags={"trainer": before})
    text = runs.report(trained, "killed", failed=True, number=5)
    assert "dead  RUNNING (its process has ended)" in text


def test_without_any_training_it_says_so(made_store: Path) -> None:
    assert "no training of nothing is recorded" in runs.report(made_store, "nothing", False, 5)


def test_a_model_without_trainings_is_not_said_to_have_no_failed_one(trained: Path) -> None:
    store.experiment(store.client(trained), "untrained")
    told = runs.report(trained, "untrained", failed=False, number=5)
    assert told == "no training of untrained is recorded yet"
