"""Production is moved by commands, and they remember why."""

import json

from resnet.registry import ledger, versions

NAME = "generated-resnet"


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
