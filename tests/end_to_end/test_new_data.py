"""Images that are added to a checkout with servers and a worker up: nobody types anything more."""

import shutil

import numpy as np
import pytest
from PIL import Image

from resnet.data import datasets, generate
from resnet.registry import ledger, store, versions

NAME = "generated-resnet"
CLASSES = datasets.load("generated").classes


@pytest.fixture(scope="module")
def settings() -> list[str]:
    return ["runtime.settle_seconds=2"]


@pytest.fixture(scope="module")
def schedule(prefect):
    """Where the server keeps the one schedule of watch-data, and what it is."""
    deployment = prefect.get("deployments/name/watch-data/often")
    (one,) = deployment["schedules"]
    return f"deployments/{deployment['id']}/schedules/{one['id']}", one["schedule"]


@pytest.fixture
def watched(checkout, prefect, worker, first_run, schedule):
    """Version 1 is in production, and watch-data looks twice a minute."""
    at, _ = schedule
    prefect.patch(at, schedule={"interval": 30}, active=True)
    yield checkout
    prefect.patch(at, active=False)


def test_the_data_are_looked_at_every_ten_minutes(schedule):
    _, found = schedule
    assert (found["cron"], found["timezone"]) == ("*/10 * * * *", "UTC")


def add(checkout, name: str, images_nhwc, labels_n) -> None:
    for n, (image, label) in enumerate(zip(images_nhwc, labels_n, strict=True)):
        path = checkout.root / "data" / "extra" / name / CLASSES[label] / f"{n:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def test_added_images_lead_to_a_gated_version_that_says_why(watched, prefect, wait_for):
    client = store.client(watched.root)
    labels = np.arange(200, dtype=np.int32) % 10
    drawn = generate.draw(labels, np.random.RandomState(7)).transpose(0, 2, 3, 1)
    add(watched, "night", np.ascontiguousarray(drawn), labels)

    event = wait_for(
        lambda: next((one for one in ledger.events(client, NAME) if one.version == 2), None),
        seconds=400,
    )
    assert event.action in ("promote", "refuse")
    assert event.evidence["against"] == 1
    assert event.reason == "night was added"
    version = versions.resolve(client, NAME, 2)
    assert client.get_model_version(NAME, "2").tags["cause"] == "night was added"
    assert version.test_hash == versions.resolve(client, NAME, 1).test_hash

    deployment = prefect.get("deployments/name/retrain/on-new-data")
    (run,) = prefect.post("flow_runs/filter", deployments={"id": {"any_": [deployment["id"]]}})
    assert run["id"] == event.flow_run
    assert run["parameters"]["cause"] == "night was added"
    assert run["created_by"]["type"] == "AUTOMATION"
    prefect.wait(run["id"], "COMPLETED")
    assert "Cause: night was added" in prefect.artifacts(run["id"])["result"]
    assert watched.git("status", "--porcelain", "--", "data").split() == [
        "??",
        "data/extra/night.dvc",
    ]


def test_other_parameters_train_on_the_added_images_too(
    checkout, prefect, worker, first_run, tmp_path
):
    run = prefect.start("retrain/weekly", overrides=["train.steps=40"], promote="never")
    prefect.wait(run, "COMPLETED")
    assert prefect.tasks(run)["pull"] == "Completed"
    client = store.client(checkout.root)
    version = versions.latest(client, NAME)
    assert versions.profile(client, version, tmp_path)["extra"]["night"]["images"] == 200


def test_added_images_that_are_test_images_are_refused(watched, prefect, wait_for):
    client = store.client(watched.root)
    before = versions.latest(client, NAME).number
    test = np.load(watched.root / "data" / "arrays" / "test_images.npy")[:1]
    add(watched, "leak", test, [0])
    deployment = prefect.get("deployments/name/retrain/on-new-data")

    def failed():
        runs = prefect.post(
            "flow_runs/filter",
            deployments={"id": {"any_": [deployment["id"]]}},
            flow_runs={"state": {"type": {"any_": ["FAILED"]}}},
        )
        return next(iter(runs), None)

    run = wait_for(failed, seconds=240)
    assert run["parameters"]["cause"] == "leak was added"
    assert "leak: 1 of its images are images of the test split" in run["state"]["message"]
    assert versions.latest(client, NAME).number == before


def test_images_that_are_taken_away_lead_back_to_the_version_of_before(
    checkout, prefect, worker, first_run
):
    client = store.client(checkout.root)
    newest = versions.latest(client, NAME).number
    extra = checkout.root / "data" / "extra"
    for path in [path for path in extra.iterdir() if path.name[0] != "."]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    run = prefect.start("retrain/on-new-data", cause="night was taken away")
    prefect.wait(run, "COMPLETED")
    event = ledger.events(client, NAME)[-1]
    assert (event.version, event.reason, event.flow_run) == (1, "night was taken away", run)
    assert event.action in ("promote", "refuse")
    assert versions.latest(client, NAME).number == newest
