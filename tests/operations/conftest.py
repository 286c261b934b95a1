"""Stores, and checkouts as the stages leave them."""

from tests.support.registry import (  # noqa: F401
    any_store,
    check,
    chosen,
    empty_store,
    enter,
    evaluation,
    fork,
    killed,
    made_store,
    predictions,
    register,
    save,
    server,
    wait,
    write_outputs,
)
