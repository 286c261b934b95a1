"""The real CIFAR-10 through `dvc repro`, with no server of any kind."""

import os

import pytest
import yaml

from resnet.checkout import dvc_cache, dvc_settings, dvc_yaml

ARCHIVE = os.environ.get("CIFAR10_ARCHIVE")

pytestmark = pytest.mark.skipif(
    not ARCHIVE, reason="CIFAR10_ARCHIVE names no archive of CIFAR-10, and nothing is downloaded"
)


@pytest.fixture(scope="module")
def reproduced(new_checkout):
    checkout = new_checkout("smoke", [])
    checkout.env["CIFAR10_ARCHIVE"] = ARCHIVE
    checkout.run("dvc", "repro")
    return checkout


def test_the_lock_shows_the_published_hashes(reproduced):
    root = reproduced.root
    (out,) = yaml.safe_load((root / "dvc.lock").read_text())["stages"]["fetch"]["outs"]
    assert out["path"] == "data/raw"
    hashes = dvc_cache.listing(dvc_cache.place(dvc_settings.cache_folder(root), out["md5"]))
    assert hashes["data_batch_1"] == "c99cafc152244af753f735de768cd75f"
    assert hashes["test_batch"] == "40351d587109b95175f43aff81a1287e"
    assert len(hashes) == 7


def test_a_second_repro_runs_nothing(reproduced):
    output = reproduced.run("dvc", "repro").stdout
    assert output.count("didn't change, skipping") == len(dvc_yaml.stages(reproduced.root))


def test_seconds_of_training_beat_chance(reproduced):
    metrics = reproduced.report("metrics")
    assert metrics["images"] == 10_000
    assert metrics["accuracy_low"] > 0.2


def test_dvc_shows_the_metrics_and_draws_the_plots(reproduced):
    assert "accuracy" in reproduced.run("dvc", "metrics", "show").stdout
    reproduced.run("dvc", "plots", "show")
    page = (reproduced.root / "dvc_plots" / "index.html").read_text()
    for plot in ("validation_loss", "predicted", "confidence", "mistakes.png"):
        assert plot in page


def test_there_is_no_mlflow_run_and_no_prefect_database(reproduced):
    state = {path.name for path in (reproduced.root / ".state").iterdir()}
    assert not state & {"mlflow", "prefect"}
