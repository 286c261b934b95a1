"""An empty store, to grow one in."""

from tests.support.registry import empty_store  # noqa: F401
