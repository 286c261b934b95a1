"""The registry's tests: checkouts as the stages leave them, and moves without their cards."""

import pytest

from resnet.registry.card import card
from tests.support.registry import (  # noqa: F401
    any_store,
    check,
    empty_store,
    enter,
    evaluate_again,
    evaluation,
    fork,
    killed,
    made_store,
    parameters,
    predictions,
    register,
    save,
    server,
    wait,
    write_outputs,
)


@pytest.fixture(autouse=True)
def no_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards are renewed after a move, and can be at any time: it would take a third of the time."""
    monkeypatch.setattr(card, "renew_cards", lambda client, event, history: None)
