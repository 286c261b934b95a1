"""The main job by its commands: real stages, a real DVC repository, a real MLflow store."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from flows import deployed
from resnet import params
from resnet.checkout.identity import identity
from resnet.registry import store, versions
from resnet.registry.ledger import ledger

NAME = "generated-resnet"
STAGES = ["fetch", "ingest", "annotate", "train", "evaluate", "export"]
NOTHING_TO_DO = f"{NAME} version 1 (candidate, production) is registered: nothing to do\n"

SCORE_ALONE = """
import sys
sys.modules["resnet"] = None  # this process cannot import the package
import mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/generated-resnet@production")
images, labels = (np.load(f"{sys.argv[2]}/test_{part}.npy") for part in ("images", "labels"))
probabilities = model.predict(images)
print(float((probabilities.argmax(axis=1) == labels).mean()))
"""


def runs(registry):
    return registry.search_runs([store.experiment(registry, NAME)])


def test_a_first_run_ends_in_production(checkout, first_run, registry):
    assert "generated-resnet version 1 is now in production" in first_run.stdout
    version = versions.resolve(registry, NAME, "production")
    assert version.number == 1
    assert version.model_hash == checkout.report("training")["model_hash"]
    (event,) = ledger.events(registry, NAME)
    assert (event.action, event.version_from, event.version_to) == ("promote", None, 1)
    assert event.reason == registry.get_run(version.run_id).info.run_name == "quick"


def test_a_dvc_repro_goes_on_after_its_end_and_the_next_run_registers_what_it_made(
    registry, reproduced, first_run
):
    assert "resuming after step" in reproduced.stdout
    assert "train: skipped: its " in first_run.stderr
    made = registry.get_run(versions.resolve(registry, NAME, 1).run_id)
    assert registry.get_metric_history(made.info.run_id, "train_loss")[-1].step == 300


def test_the_version_says_where_it_comes_from(checkout, registry):
    tags = registry.get_model_version(NAME, "1").tags
    assert tags["git_commit"] == checkout.git("rev-parse", "HEAD").strip()
    assert tags["git_dirty"] == "false"
    run = registry.get_run(registry.get_model_version(NAME, "1").run_id)
    assert run.data.params["train.steps"] == str(params.load(checkout.root).train.steps)
    assert run.data.metrics["accuracy"] == checkout.report("metrics")["accuracy"]
    assert run.inputs.dataset_inputs[0].dataset.digest == tags["data_hash"]


def test_a_process_without_this_package_scores_the_recorded_accuracy(checkout, first_run, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            SCORE_ALONE,
            store.tracking_uri(checkout.root),
            str(checkout.root / "data" / "arrays"),
        ],
        cwd=tmp_path,
        env={**checkout.env, "HOME": str(tmp_path)},  # it is not ours, and may write there
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout.split()[-1]) == checkout.report("metrics")["accuracy"]


def test_a_second_run_finds_nothing_to_do_and_the_server_records_that(checkout, prefect, registry):
    def up_to_date():
        named = {"state": {"name": {"any_": ["Up to date"]}}}
        return prefect.post("flow_runs/filter", flow_runs=named)

    before, recorded = len(runs(registry)), len(up_to_date())
    second = checkout.run("resnet", "run")
    assert second.stdout == NOTHING_TO_DO
    for stage in STAGES:
        assert f"{stage}: skipped: its " in second.stderr
    assert len(up_to_date()) == recorded + 1
    newest = max(up_to_date(), key=lambda run: run["created"])
    assert newest["tags"] == [deployed.TAG + identity(checkout.root)]
    # A limit for each tag of a task would be asked for.
    of_it = {"id": {"any_": [newest["id"]]}}
    assert all(task["tags"] == [] for task in prefect.post("task_runs/filter", flow_runs=of_it))
    assert len(runs(registry)) == before
    assert len(registry.search_model_versions(f"name = '{NAME}'")) == 1


def test_without_a_server_a_run_with_nothing_to_do_says_the_same_and_starts_none(
    checkout, registry
):
    log = checkout.root / ".state" / "prefect-server.log"
    before = log.stat().st_size, log.stat().st_mtime
    imports = {"PYTHONPROFILEIMPORTTIME": "1"}  # on stderr, of each process
    third = checkout.run("resnet", "run", PREFECT_API_URL="", **imports)
    assert third.stdout == NOTHING_TO_DO
    said = [line for line in third.stderr.splitlines() if not line.startswith("import time:")]
    assert [line.split(": skipped: its ")[0] for line in said] == STAGES
    imported = {line.rpartition("|")[2].strip() for line in third.stderr.splitlines()}
    assert "mlflow" in imported
    assert "prefect" not in imported
    assert (log.stat().st_size, log.stat().st_mtime) == before


def test_a_dry_run_says_what_a_run_would_do_and_does_nothing(checkout, registry):
    def everything():
        trees = sorted((checkout.root / ".state" / "runs").glob("*"))
        return checkout.git("status", "--porcelain"), checkout.git("worktree", "list"), trees

    before, number = everything(), len(runs(registry))
    same = checkout.call("run", "--dry-run").stdout.splitlines()
    assert [line.split()[1] for line in same[:6]] == ["skip"] * 6
    assert same[6].startswith("registry: generated-resnet version 1 (candidate, production) is ")
    other = checkout.call("run", "--dry-run", "--set", "train.seed=3").stdout
    assert "train     run      train.seed 0 → 3\n" in other
    assert "evaluate  depends  on what train will give\n" in other
    assert other.endswith("Nothing was done: this was a dry run.\n")
    assert (everything(), len(runs(registry))) == (before, number)


def test_nothing_is_written_into_the_users_home(checkout, first_run):
    assert list(Path(checkout.env["HOME"]).iterdir()) == []
    assert (checkout.root / ".state" / "keras").is_dir()


def test_dvc_draws_the_stages_and_shows_the_metrics(checkout, first_run):
    drawn = checkout.run("dvc", "dag", "--dot").stdout
    for before, after in itertools.pairwise(("fetch", "ingest", "train", "evaluate", "export")):
        assert f'"{before}" -> "{after}"' in drawn
    shown = json.loads(checkout.run("dvc", "metrics", "show", "--json").stdout)
    scores = shown[""]["data"]["reports/scores.json"]["data"]
    assert scores["accuracy"] == checkout.report("metrics")["accuracy"]


def test_ctrl_c_ends_a_run_and_its_own_server_and_leaves_its_checkpoint(checkout, interrupted):
    """All of it beside the checkout, which stays. A worker's run goes on with it: see `asked`."""
    assert interrupted.code == 1
    assert interrupted.alive == []
    assert checkout.training() == []
    training = interrupted.training
    assert training.status == "KILLED"
    assert training.reason.startswith(f"training was interrupted after step {training.newest} of ")
    assert (checkout.git("status", "--porcelain"), checkout.report("training")) == interrupted.files


def test_images_are_scored_with_production(checkout, first_run, tmp_path):
    images = np.load(checkout.root / "data" / "arrays" / "test_images.npy")[:20]
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number:02}.png")
    out = tmp_path / "out.parquet"
    done = checkout.call("predict", str(tmp_path), "--out", str(out))
    assert "20 images scored by generated-resnet version 1" in done.stdout
    scored = pd.read_parquet(out)
    recorded = pd.read_parquet(checkout.root / "reports" / "predictions.parquet")
    assert list(scored["predicted"]) == list(recorded["predicted"][:20])
    assert set(scored["version"]) == {1}


def test_data_and_models_travel_through_the_default_remote(checkout, new_clone):
    (new_clone.root / "dvc.lock").write_bytes((checkout.root / "dvc.lock").read_bytes())
    new_clone.run("dvc", "pull")
    for name in ("models/model.keras", "reports/metrics.json", "data/arrays/test_images.npy"):
        assert (new_clone.root / name).read_bytes() == (checkout.root / name).read_bytes()


def test_a_wrong_world_and_a_wrong_word_have_their_exit_codes(checkout, first_run):
    wrong = ["run", "--preset", "slow"]
    world = checkout.run("resnet", *wrong, check=False, PREFECT_API_URL="")
    assert (world.returncode, world.stdout) == (2, "")  # not even a server was started
    assert world.stderr.startswith("error: no preset 'slow': the presets are quick")
    assert "Traceback" not in world.stderr
    unknown = checkout.call("history", "--model", "net", check=False)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert f"no registered model net: --model takes one of {NAME}" in unknown.stderr
    traced = checkout.run("resnet", "--debug", *wrong, check=False)
    assert traced.returncode == 1
    assert traced.stderr.startswith("Traceback")
    word = checkout.run("resnet", "promote", "1", check=False)
    assert word.returncode == 2
    assert "required: --reason" in word.stderr


def test_the_doctor_finds_a_healthy_checkout_and_a_silent_server(checkout, first_run):
    assert "FAIL" not in checkout.call("doctor").stdout
    done = checkout.call("doctor", check=False, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "MLFLOW_TRACKING_URI is http://127.0.0.1:9, which does not answer" in done.stdout
