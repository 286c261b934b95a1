"""DVC decides whether a stage runs; the outcome says why. A real DVC repository, tiny stages."""

import subprocess
import sys
import threading
import time

import pytest
import yaml

from resnet.checkout import dvc, stages

STAGES = ("fetch", "ingest", "train", "evaluate")

STAGE = """
import pathlib, sys, time
name, *inputs = sys.argv[1:]
print(f"{name} at work", flush=True)
if pathlib.Path("slow").exists():
    pathlib.Path("started").touch()
    time.sleep(8)
if pathlib.Path("broken").exists():
    sys.exit("error: the disk is full\\nfree some space")
pathlib.Path(name + ".out").write_text("".join(pathlib.Path(one).read_text() for one in inputs))
"""


def run_dvc(root, *words):
    subprocess.run([sys.executable, "-m", "dvc", *words], cwd=root, check=True, capture_output=True)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """fetch → ingest → train → evaluate, each a copy of the file before; all have run."""
    root = tmp_path_factory.mktemp("pipeline")
    (root / "stage.py").write_text(STAGE)
    (root / "source").write_text("1")
    (root / "params.yaml").write_text("train: {epochs: 1}\n")
    entries, before = {}, "source"
    for name in STAGES:
        entries[name] = {
            "cmd": f"python stage.py {name} {before}",
            "deps": [before],
            "outs": [f"{name}.out"],
        }
        before = f"{name}.out"
    entries["train"]["params"] = ["train"]
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": entries}))
    run_dvc(root, "init", "--no-scm")
    assert changed(root) == set(STAGES)
    for name in STAGES:
        outcome = run(name, root)
        assert (outcome.action, outcome.why) == ("ran", "it has not run here before")
    return root


def changed(root):
    return stages.changed(root, 30, lambda line: None)


def run(name, root, say=lambda line: None, lock_seconds=30):
    return stages.run(name, root, lock_seconds, say)


def test_a_stage_with_nothing_new_is_skipped_and_says_so(pipeline):
    assert changed(pipeline) == set()
    outcome = run("train", pipeline)
    assert outcome == stages.skipped("train", pipeline)
    assert outcome.why.startswith("its 1 dependencies and 1 parameters are those of dvc.lock")


def test_a_changed_parameter_is_named_with_both_values(pipeline):
    (pipeline / "params.yaml").write_text("train: {epochs: 2}\n")
    assert "train" in changed(pipeline)
    lines = []
    outcome = run("train", pipeline, lines.append)
    assert (outcome.action, outcome.why) == ("ran", "train.epochs 1 → 2")
    assert "train at work" in lines


def test_outputs_that_were_computed_before_are_restored(pipeline):
    for epochs in (1, 3, 1):
        (pipeline / "params.yaml").write_text(f"train: {{epochs: {epochs}}}\n")
        outcome = run("train", pipeline)
    assert outcome.action == "restored"
    assert outcome.why == "computed before from the same inputs (train.epochs 3 → 1)"


def test_a_missing_output_is_restored(pipeline):
    (pipeline / "train.out").unlink()
    assert "train" in changed(pipeline)
    outcome = run("train", pipeline)
    assert outcome.action == "restored"
    assert "its outputs were missing" in outcome.why


def test_a_failing_stage_reports_its_own_error(pipeline):
    (pipeline / "source").write_text("2")
    (pipeline / "broken").touch()
    try:
        with pytest.raises(dvc.DvcError, match="^fetch: the disk is full\nfree some space$"):
            run("fetch", pipeline)
    finally:
        (pipeline / "broken").unlink()
    assert run("fetch", pipeline).why == "source changed"


def test_a_stage_waits_for_a_dvc_repro_in_a_shell(pipeline, monkeypatch):
    monkeypatch.setattr(dvc, "RETRY_SECONDS", 0.5)
    (pipeline / "source").write_text("3")
    (pipeline / "slow").touch()
    words = (pipeline, "repro", "--single-item", "fetch")
    first = threading.Thread(target=run_dvc, args=words)
    first.start()
    while not (pipeline / "started").exists():
        time.sleep(0.1)
    (pipeline / "slow").unlink()
    with pytest.raises(dvc.DvcError, match="another process has been working on the same files"):
        run("fetch", pipeline, lock_seconds=0)
    lines = []
    assert run("fetch", pipeline, lines.append).action == "skipped"
    first.join()
    assert any("another process is working" in line for line in lines)
