"""Images are added to a checkout with servers and a worker running, refused, and removed again."""

import shutil

import numpy as np
import pytest
from PIL import Image

from resnet.checkout import dvc_yaml
from resnet.data import datasets
from resnet.data.sets import shapes
from resnet.registry import versions
from resnet.registry.ledger import ledger

NAME = "generated-resnet"
CLASSES = datasets.load("generated").classes


@pytest.fixture(scope="module")
def unscheduled(prefect, wait_for):
    """Here watch-data looks only when it is told to."""
    deployment = prefect.get("deployments/name/watch-data/often")
    (schedule,) = deployment["schedules"]
    at = f"deployments/{deployment['id']}/schedules/{schedule['id']}"
    prefect.patch(at, active=False)
    wait_for(lambda: not prefect.runs("watch-data/often", "SCHEDULED", "PENDING", "RUNNING"))
    yield
    prefect.patch(at, active=True)


def add(checkout, name: str, images_nhwc, labels_n) -> None:
    for n, (image, label) in enumerate(zip(images_nhwc, labels_n, strict=True)):
        path = checkout.root / "data" / "extra" / name / CLASSES[label] / f"{n:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


@pytest.fixture(scope="module")
def serving(registry):
    """The version in production before any images were added."""
    return versions.resolve(registry, NAME, "production").number


@pytest.fixture(scope="module")
def night(checkout, prefect, worker, call, registry, serving, unscheduled, wait_for):
    """200 images are added, and watch-data is told to look once; the event does the rest.

    What became of the version that was trained on them: the ledger's event.
    """
    before = versions.latest(registry, NAME).number
    labels = np.arange(200, dtype=np.int32) % 10
    painted = shapes.paint(labels, np.random.RandomState(7)).transpose(0, 2, 3, 1)
    add(checkout, "night", np.ascontiguousarray(painted), labels)

    def started():
        return prefect.runs("retrain/on-new-data")

    look = prefect.start("watch-data/often")
    assert prefect.wait(look, "COMPLETED")["state"]["name"] == "Changed"
    (run,) = wait_for(started)
    assert call("watch_data")["state"]["name"] == "Unchanged"  # as an event has told so
    prefect.wait(run["id"], "COMPLETED")
    assert len(started()) == 1
    (event,) = (one for one in ledger.events(registry, NAME) if one.version == before + 1)
    return event


def test_added_images_lead_to_a_gated_version_that_says_why(
    checkout, prefect, registry, serving, night
):
    assert night.action == "promote"
    assert night.evidence["against"] == serving
    assert night.reason == "night was added"
    version = versions.resolve(registry, NAME, night.version)
    assert registry.get_model_version(NAME, str(night.version)).tags["cause"] == "night was added"
    assert version.test_hash == versions.resolve(registry, NAME, 1).test_hash

    run = prefect.get(f"flow_runs/{night.flow_run}")
    assert run["parameters"]["cause"] == "night was added"
    assert run["created_by"]["type"] == "AUTOMATION"
    assert "Cause: night was added" in prefect.artifacts(run["id"])["result"]
    assert checkout.git("status", "--porcelain", "--", "data").split() == [
        "??",
        "data/extra/night.dvc",
    ]


def test_dvc_repro_runs_nothing_after_a_flow(checkout, night):
    output = checkout.run("dvc", "repro").stdout
    unchanged = [f"Stage '{stage}'" for stage in dvc_yaml.stages(checkout.root)]
    unchanged.append("'data/extra/night.dvc'")
    assert sorted(output.splitlines()) == sorted(
        [
            *(f"{one} didn't change, skipping" for one in unchanged),
            "Data and pipelines are up to date.",
        ]
    )


def test_added_images_that_are_test_images_are_refused(checkout, prefect, worker, registry, night):
    """With other parameters, for a change: the images are brought into a tree of the run's own."""
    test = np.load(checkout.root / "data" / "arrays" / "test_images.npy")[:1]
    add(checkout, "leak", test, [0])
    checkout.run("dvc", "add", "data/extra/leak")
    run = prefect.start("retrain/weekly", overrides=["train.steps=40"])
    found = prefect.wait(run, "FAILED")
    assert prefect.tasks(run)["pull"] == "Completed"
    assert "leak: 1 of its images are images of the test split" in found["state"]["message"]
    assert not any("Traceback" in line for line in prefect.logs(run))
    assert versions.latest(registry, NAME).number == night.version


def test_images_that_are_removed_lead_back_to_the_version_of_before(
    checkout, call, registry, night
):
    extra = checkout.root / "data" / "extra"
    for path in [path for path in extra.iterdir() if path.name[0] != "."]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    run = call("retrain", cause="night was removed")
    event = ledger.events(registry, NAME)[-1]
    assert (event.version, event.reason, event.flow_run) == (1, "night was removed", run["id"])
    assert event.action == "promote"
    assert versions.latest(registry, NAME).number == night.version
