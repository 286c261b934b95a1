"""A version is its model: a number that MLflow gives again does not pass for the one before."""

from collections.abc import Callable
from pathlib import Path

import pytest

from resnet import params
from resnet.errors import PipelineError
from resnet.registry import store, versions
from resnet.registry.gate import gate
from resnet.registry.ledger import ledger
from resnet.registry.promotion import history, promotion
from resnet.registry.promotion.reconcile import reconcile
from tests.support import REPOSITORY

GATE = params.load(REPOSITORY).gate
Check = Callable[..., None]
Register = Callable[..., int]


@pytest.fixture
def anew(made_store: Path, register: Register, check: Check) -> str:
    """A model whose version 1 served and was deleted with it; there is a bad version 1 now."""
    name, client = "anew", store.client(made_store)
    verdict = gate.judge(made_store, name, register(name), GATE)
    promotion.promote(made_store, verdict, reason="the first", check=check)
    client.delete_registered_model(name)
    assert register(name, 1000) == 1
    client.set_model_version_tag(name, "1", "model_hash", "another")
    return name


def test_a_registered_model_that_was_deleted_and_made_anew_does_not_pass_by_the_gate(
    made_store: Path, anew: str, check: Check
) -> None:
    client = store.client(made_store)
    (problem,) = history.read(made_store, anew)[1]
    assert "production is unset, but according to the ledger it should name version 1" in problem
    deleted = r"Version 1 \(model anew-0\) is deleted: record the change with 'resnet reconcile --"
    with pytest.raises(PipelineError, match=deleted):
        reconcile(made_store, anew, check=check)
    assert versions.with_alias(client, anew, "production") is None

    client.set_registered_model_alias(anew, "production", "1")  # by hand, as the number is the same
    (problem,) = history.read(made_store, anew)[1]
    assert "production names version 1 (model another), but" in problem
    assert "it should name version 1 (model anew-0): it was deleted" in problem
    with pytest.raises(PipelineError, match=deleted):
        reconcile(made_store, anew, check=check)
    client.delete_registered_model_alias(anew, "production")

    (line,) = reconcile(made_store, anew, accept=True, reason="it was deleted", check=check)
    assert line.startswith("recorded: found, production 1 → none, candidate 1 → none")
    assert ledger.events(client, anew)[-1].model_hashes == {"1": "anew-0"}
    refused = promotion.promote(
        made_store, gate.judge(made_store, anew, 1, GATE), reason="a try", check=check
    )
    assert not refused.promoted
    with pytest.raises(PipelineError, match=r"before are deleted \(1\)"):
        promotion.rollback(made_store, anew, reason="back", check=check)
    with pytest.raises(PipelineError, match="was never in production, so it is not a rollback"):
        promotion.rollback(made_store, anew, reason="back", to=1, check=check)
    assert history.read(made_store, anew)[1] == []
    event = ledger.events(client, anew)[-1]
    assert (event.action, event.model_hashes) == ("refuse", {"1": "another"})


def test_a_version_that_is_exchanged_while_it_is_checked_is_not_promoted(
    made_store: Path, register: Register
) -> None:
    name, client = "exchanged", store.client(made_store)
    verdict = gate.judge(made_store, name, register(name), GATE)

    def exchanges(root: Path, of: object, version: versions.Version) -> None:
        client.delete_registered_model(name)
        register(name, 1000)
        client.set_model_version_tag(name, "1", "model_hash", "another")

    with pytest.raises(PipelineError, match=r"has version 1 \(model another\) now and not 1 \("):
        promotion.promote(made_store, verdict, reason="a try", check=exchanges)
    assert versions.with_alias(client, name, "production") is None
    assert ledger.events(client, name) == []


def test_a_version_that_was_registered_without_a_model_hash_does_not_pass_for_the_one_before(
    made_store: Path, register: Register, check: Check
) -> None:
    name, client = "bare-anew", store.client(made_store)
    verdict = gate.judge(made_store, name, register(name), GATE)
    promotion.promote(made_store, verdict, reason="the first", check=check)
    _register_by_hand(client, name, made_store)
    (problem,) = history.read(made_store, name)[1]
    assert "production names version 1 (registered without a model hash), but" in problem
    assert f"it should name version 1 (model {name}-0): it was deleted" in problem
    with pytest.raises(PipelineError, match=r"Version 1 .* is deleted: record the change with"):
        reconcile(made_store, name, check=check)

    with pytest.raises(PipelineError, match="was registered by hand, without a run that holds its"):
        reconcile(made_store, name, accept=True, reason="made by hand")
    (line,) = reconcile(made_store, name, accept=True, reason="made by hand", check=_unchecked)
    assert line.startswith("recorded: found 1")
    assert ledger.events(client, name)[-1].model_hashes == {"1": ""}
    assert history.read(made_store, name)[1] == []

    client.delete_registered_model(name)
    register(name)
    client.set_registered_model_alias(name, "production", "1")
    client.set_registered_model_alias(name, "candidate", "1")
    problem = history.read(made_store, name)[1][0]
    assert f"production names version 1 (model {name}-0), but" in problem
    assert "it should name version 1 (registered without a model hash): it was deleted" in problem


def _unchecked(root: Path, of: object, version: versions.Version) -> None:
    """The check of a move, where another test is about it."""


def _register_by_hand(client: store.Client, name: str, root: Path) -> None:
    """The model anew with a version 1 of MLflow's own UI, which has both aliases."""
    client.delete_registered_model(name)
    client.create_registered_model(name)
    client.create_model_version(name, source=(root / "model").as_uri())
    for alias in ("production", "candidate"):
        client.set_registered_model_alias(name, alias, "1")
