"""Versions by commands: brought into production and back, and trained again in a new clone."""

import json

from resnet.registry import versions
from resnet.registry.ledger import ledger

NAME = "generated-resnet"
CHECKS = (
    *("commit", "code", "parameters", "packages", "environment"),
    *("data", "model", "served", "portable", "evaluation", "score", "retrain"),
)


def test_promotion_and_rollback_are_remembered_with_their_reasons(checkout, registry, asked):
    past = len(ledger.events(registry, NAME))
    before = versions.resolve(registry, NAME, "production").number
    other = next(number for number in (asked.version, asked.production) if number != before)
    checkout.call("promote", str(other), "--reason", "a trial", "--force")
    assert versions.resolve(registry, NAME, "production").number == other
    checkout.call("rollback", "--reason", "the trial is over")
    assert versions.resolve(registry, NAME, "production").number == before
    lines = checkout.call("history", "--json").stdout.splitlines()
    moves = [
        (e["action"], e["version_from"], e["version_to"], e["reason"])
        for e in map(json.loads, lines)
    ]
    assert moves[past:] == [
        ("promote", before, other, "a trial"),
        ("rollback", other, before, "the trial is over"),
    ]


def states(output):
    """{a check's name: its state}"""
    rows = (line.split() for line in output.splitlines())
    return {row[1]: row[0] for row in rows if row and row[0] in ("PASS", "FAIL", "UNKNOWN")}


def test_a_new_clone_trains_a_version_again_to_the_same_bits_from_the_remotes_data(
    new_clone, asked, tmp_path_factory
):
    """One of other parameters than params.yaml's, whose training was ended and went on."""
    before, scratch = new_clone.git("status", "--porcelain"), tmp_path_factory.mktemp("scratch")
    done = new_clone.call("verify", str(asked.version), "--retrain", TMPDIR=str(scratch))
    assert states(done.stdout) == dict.fromkeys(CHECKS, "PASS"), done.stdout
    assert "DVC's remote has its md5" in done.stdout
    assert "gave the same bits" in done.stdout
    left = {one.name for one in scratch.iterdir()}
    assert left <= {"__pycache__"}  # TensorFlow's
    assert new_clone.git("status", "--porcelain") == before
    assert not (new_clone.root / ".dvc" / "cache").exists()
    assert not new_clone.checkpoints("*")
