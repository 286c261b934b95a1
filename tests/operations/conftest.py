"""Stores, and checkouts as the stages leave them."""

from tests.support.registry import (  # noqa: F401
    any_store,
    check,
    empty_store,
    enter,
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
