"""The main job, typed in a shell: real stages, a real DVC repository, a real MLflow store."""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from resnet import params
from resnet.registry import store, versions
from resnet.stages import STAGES

NAME = "generated-resnet"
CHECKS = (
    *("commit", "code", "parameters", "packages", "environment"),
    *("data", "model", "served", "evaluation", "score"),
)

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


@pytest.fixture(scope="module")
def registry(checkout, first_run):
    return store.client(checkout.root)


@pytest.fixture
def new_clone(checkout, first_run, tmp_path):
    """A clone of the checkout that shares its store, and has no cache of its own."""
    root = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", checkout.root, root], check=True)
    env = {**checkout.env, "MLFLOW_TRACKING_URI": store.tracking_uri(checkout.root)}
    for name in ("RESNET_STATE", "PREFECT_HOME", "MPLCONFIGDIR"):
        env.pop(name)
    return type(checkout)(root, env)


def name_remote(clone, checkout):
    """Let the default remote of the clone be that of the checkout."""
    url = str(checkout.root / ".state" / "dvc-remote")
    clone.run("dvc", "remote", "modify", "--local", "local", "url", url)


def events(checkout):
    return [
        json.loads(line)
        for line in checkout.run("resnet", "history", "--json").stdout.split("\n")
        if line
    ]


def runs(registry):
    return registry.search_runs([store.experiment(registry, NAME)])


def states(output):
    """{a check's name: its state}"""
    rows = (line.split() for line in output.splitlines())
    return {row[1]: row[0] for row in rows if row and row[0] in ("PASS", "FAIL", "UNKNOWN")}


def test_a_first_run_ends_in_production(checkout, first_run, registry):
    assert "generated-resnet version 1 is now in production" in first_run.stdout
    version = versions.resolve(registry, NAME, "production")
    assert version.number == 1
    assert version.model_hash == checkout.report("training")["model_hash"]
    (event,) = events(checkout)
    assert (event["action"], event["version_from"], event["version_to"]) == ("promote", None, 1)
    assert event["reason"] == "retrain-quick"


def test_the_version_says_where_it_comes_from(checkout, first_run, registry):
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


def test_a_second_run_finds_nothing_to_do(checkout, first_run, registry):
    before = len(runs(registry))
    second = checkout.run("resnet", "run")
    assert (
        "generated-resnet version 1 (candidate, production) is registered: nothing to do"
        in second.stdout
    )
    for stage in ("fetch", "ingest", "annotate", "train", "evaluate"):
        assert f"{stage}: skipped: its " in second.stderr
    assert len(runs(registry)) == before
    assert len(registry.search_model_versions(f"name = '{NAME}'")) == 1


def test_nothing_is_written_into_the_users_home(checkout, first_run):
    assert list(Path(checkout.env["HOME"]).iterdir()) == []
    assert (checkout.root / ".state" / "keras").is_dir()


def test_dvc_repro_runs_nothing_after_it(checkout, first_run):
    output = checkout.run("dvc", "repro").stdout
    assert output.count("didn't change, skipping") == len(STAGES)
    assert "Running stage" not in output


def test_dvc_draws_the_stages_and_shows_the_metrics(checkout, first_run):
    drawn = checkout.run("dvc", "dag", "--dot").stdout
    for before, after in itertools.pairwise(("fetch", "ingest", "train", "evaluate")):
        assert f'"{before}" -> "{after}"' in drawn
    shown = json.loads(checkout.run("dvc", "metrics", "show", "--json").stdout)
    metrics = shown[""]["data"]["reports/metrics.json"]["data"]
    assert metrics["accuracy"] == checkout.report("metrics")["accuracy"]


def test_other_parameters_leave_the_checkout_as_it_was(checkout, first_run, registry):
    before = checkout.git("status", "--porcelain"), checkout.report("training")
    checkout.run("resnet", "run", "--set", "train.steps=40", "--promote", "never")
    assert (checkout.git("status", "--porcelain"), checkout.report("training")) == before
    assert list((checkout.root / ".state" / "runs").iterdir()) == []
    version = versions.latest(registry, NAME)
    run = registry.get_run(version.run_id)
    assert run.data.params["train.steps"] == "40"
    assert run.data.metrics["steps"] == 40
    assert "production" not in version.aliases
    tags = registry.get_model_version(NAME, str(version.number)).tags
    assert tags["git_dirty"] == "false"


def test_a_dvc_repro_in_a_shell_is_registered_by_the_next_run(checkout, first_run, registry):
    before = versions.latest(registry, NAME).number
    saved = {name: (checkout.root / name).read_bytes() for name in ("params.yaml", "dvc.lock")}
    try:
        values = params.merge(params.read(checkout.root), checkout.root, None, ["train.steps=41"])
        (checkout.root / "params.yaml").write_text(params.dump(values))
        checkout.run("dvc", "repro")
        done = checkout.run("resnet", "run", "--promote", "never")
        assert "train: skipped: its " in done.stderr
        version = versions.latest(registry, NAME)
        assert version.number == before + 1
        assert version.model_hash == checkout.report("training")["model_hash"]
        curve = registry.get_metric_history(version.run_id, "train_loss")
        assert [point.step for point in curve] == [41]
    finally:
        for name, content in saved.items():
            (checkout.root / name).write_bytes(content)
        checkout.run("dvc", "checkout", "--force")


def test_a_terminated_run_leaves_no_training_behind_and_the_next_takes_it_up(
    checkout, first_run, registry, wait_for
):
    words = ["resnet", "run", "--set", "train.steps=300", "--promote", "never"]
    before = checkout.checkpoints("*")
    with checkout.start(*words) as run:
        wait_for(lambda: checkout.checkpoints("mlflow-run") - before)  # at its first step
        run.terminate()
        run.wait(timeout=60)
    assert checkout.training() == []
    assert len(checkout.checkpoints("*.npz") - before) == 1
    (killed,) = [run for run in runs(registry) if run.data.params.get("train.steps") == "300"]
    assert killed.info.status == "KILLED"

    assert "going on after step" in checkout.run(*words).stderr
    assert checkout.checkpoints("*") == before
    version = versions.latest(registry, NAME)
    assert version.run_id == killed.info.run_id
    curve = registry.get_metric_history(version.run_id, "train_loss")
    assert [point.step for point in curve] == sorted({point.step for point in curve})
    assert curve[-1].step == 300


def test_whoever_is_killed_dvc_repro_ends_with_the_bits_of_an_undisturbed_training(
    checkout, first_run, wait_for
):
    files = [checkout.root / name for name in ("params.yaml", "dvc.lock")]
    saved = [path.read_bytes() for path in files]
    outputs = [checkout.root / name for name in ("models/model.keras", "reports/history.csv")]
    words = ["dvc", "repro", "--single-item", "train"]
    longer = ["train.steps=1000", "runtime.checkpoint_seconds=0.2"]
    before = checkout.checkpoints("*")
    log = checkout.root / ".state" / "started.log"

    def step():
        return max(
            (int(path.name[:9]) for path in checkout.checkpoints("*.npz") - before), default=0
        )

    def told_to_end():
        return log.read_text().count("exited with 75")

    try:
        values = params.merge(params.read(checkout.root), checkout.root, None, longer)
        files[0].write_text(params.dump(values))
        checkout.run("resnet", "train")
        undisturbed = [path.read_bytes() for path in outputs]

        log.touch()
        last, told = 0, told_to_end()
        for number in (signal.SIGKILL, signal.SIGTERM):
            with checkout.start(*words) as dvc:
                wait_for(lambda last=last: step() > last)
                checkout.training()[0].send_signal(number)
                assert dvc.wait(timeout=60) == 255
            last = step()
        with checkout.start(*words) as dvc:
            wait_for(lambda: step() > last)
            os.killpg(dvc.pid, signal.SIGINT)  # Ctrl-C
            assert dvc.wait(timeout=60) == 255
        assert told_to_end() == told + 2
        last = step()
        with checkout.start(*words) as dvc:
            wait_for(lambda: step() > last)
            dvc.kill()  # its stage lives on for a moment
            dvc.wait()
            done = checkout.run(*words)
        assert "going on after step" in done.stdout
        assert [path.read_bytes() for path in outputs] == undisturbed
    finally:
        for path, content in zip(files, saved, strict=True):
            path.write_bytes(content)
        checkout.run("dvc", "checkout", "--force")


def test_ctrl_c_ends_a_run_and_its_own_server(checkout, first_run, wait_for):
    words = ["resnet", "run", "--set", "train.steps=100000", "--promote", "never"]
    with checkout.start(*words, PREFECT_API_URL="") as run:
        wait_for(checkout.training)
        family = [run, *run.children(recursive=True)]
        os.killpg(run.pid, signal.SIGINT)
        run.wait(timeout=60)
    assert run.returncode == 1
    assert [one for one in family if one.is_running() and one.status() != "zombie"] == []


def test_promotion_and_rollback_are_remembered_with_their_reasons(checkout, first_run, registry):
    past = len(events(checkout))
    checkout.run("resnet", "promote", "2", "--reason", "a trial", "--force")
    assert versions.resolve(registry, NAME, "production").number == 2
    checkout.run("resnet", "rollback", "--reason", "the trial is over")
    assert versions.resolve(registry, NAME, "production").number == 1
    moves = [
        (e["action"], e["version_from"], e["version_to"], e["reason"]) for e in events(checkout)
    ]
    assert moves[past:] == [
        ("promote", 1, 2, "a trial"),
        ("rollback", 2, 1, "the trial is over"),
    ]
    assert "the trial is over" in checkout.run("resnet", "history").stdout


def test_images_are_scored_with_production(checkout, first_run, tmp_path):
    images = np.load(checkout.root / "data" / "arrays" / "test_images.npy")[:20]
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number:02}.png")
    out = tmp_path / "out.parquet"
    done = checkout.run("resnet", "predict", str(tmp_path), "--out", str(out))
    assert "20 images scored by generated-resnet version 1" in done.stdout
    scored = pd.read_parquet(out)
    recorded = pd.read_parquet(checkout.root / "reports" / "predictions.parquet")
    assert list(scored["predicted"]) == list(recorded["predicted"][:20])
    assert set(scored["version"]) == {1}


def test_data_and_models_travel_through_the_default_remote(checkout, first_run, new_clone):
    checkout.run("dvc", "push")
    (new_clone.root / "dvc.lock").write_bytes((checkout.root / "dvc.lock").read_bytes())
    name_remote(new_clone, checkout)
    new_clone.run("dvc", "pull")
    for name in ("models/model.keras", "reports/metrics.json", "data/arrays/test_images.npy"):
        assert (new_clone.root / name).read_bytes() == (checkout.root / name).read_bytes()


def test_a_version_is_rebuilt_and_trained_again_to_the_same_bits(checkout, first_run, tmp_path):
    before = checkout.git("status", "--porcelain")
    checkpoints = checkout.checkpoints("*")
    done = checkout.run("resnet", "verify", "1", "--retrain", TMPDIR=str(tmp_path))
    assert states(done.stdout) == dict.fromkeys([*CHECKS, "retrain"], "PASS"), done.stdout
    assert "gave the same bits" in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert checkout.git("status", "--porcelain") == before
    assert checkout.checkpoints("*") == checkpoints


def test_a_new_clone_verifies_with_the_data_of_the_remote_and_without_them_does_not_know(
    checkout, new_clone, tmp_path
):
    without = new_clone.run("resnet", "verify", "production")
    unknown = {name for name, state in states(without.stdout).items() if state != "PASS"}
    assert unknown == {"data", "score"}, without.stdout
    assert set(states(without.stdout).values()) == {"PASS", "UNKNOWN"}

    checkout.run("dvc", "push", "--remote", "local")
    name_remote(new_clone, checkout)
    done = new_clone.run("resnet", "verify", "production")
    assert states(done.stdout) == dict.fromkeys(CHECKS, "PASS"), done.stdout
    assert "DVC's remote has its md5" in done.stdout
    assert not (new_clone.root / ".dvc" / "cache").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["run", "--preset", "slow"], 1, "error: no preset 'slow': the presets are quick"),
        (["promote", "99", "--reason", "x"], 1, "error: generated-resnet has no version '99'"),
        (["rollback", "--reason", " "], 1, "error: the reason is empty"),
        (["predict", "nothing.png"], 1, "nothing.png is not there: name an image"),
        (["--debug", "predict", "nothing.png"], 1, "Traceback"),
        (["promote", "1"], 2, "required: --reason"),
        (["fly"], 2, "invalid choice: 'fly'"),
    ],
)
def test_a_wrong_world_and_a_wrong_word_have_their_exit_codes(
    checkout, first_run, words, code, message
):
    done = checkout.run("resnet", *words, check=False)
    assert done.returncode == code
    assert message in done.stderr
    assert ("Traceback" in done.stderr) == ("--debug" in words)


def test_the_doctor_finds_a_healthy_checkout_and_a_silent_server(checkout, first_run):
    assert "FAIL" not in checkout.run("resnet", "doctor").stdout
    done = checkout.run("resnet", "doctor", check=False, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "MLFLOW_TRACKING_URI is http://127.0.0.1:9, which does not answer" in done.stdout
