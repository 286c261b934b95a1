"""Versions rebuilt from the registry: in the checkout that made them, and in a new clone of it."""

import subprocess

import pytest

from resnet.registry import store

CHECKS = (
    *("commit", "code", "parameters", "packages", "environment"),
    *("data", "model", "served", "evaluation", "score"),
)


def states(output):
    """{a check's name: its state}"""
    rows = (line.split() for line in output.splitlines())
    return {row[1]: row[0] for row in rows if row and row[0] in ("PASS", "FAIL", "UNKNOWN")}


@pytest.fixture
def new_clone(checkout, first_run, tmp_path):
    """A clone of the checkout that shares its store, and has no cache of its own."""
    root = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", checkout.root, root], check=True)
    env = {**checkout.env, "MLFLOW_TRACKING_URI": store.tracking_uri(checkout.root)}
    for name in ("RESNET_STATE", "PREFECT_HOME", "MPLCONFIGDIR"):
        env.pop(name)
    return type(checkout)(root, env)


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
    remote = checkout.root / ".state" / "dvc-remote"
    new_clone.run("dvc", "remote", "modify", "--local", "local", "url", str(remote))
    done = new_clone.run("resnet", "verify", "production")
    assert states(done.stdout) == dict.fromkeys(CHECKS, "PASS"), done.stdout
    assert "DVC's remote has its md5" in done.stdout
    assert not (new_clone.root / ".dvc" / "cache").exists()
