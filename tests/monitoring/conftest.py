"""A registered model that names colours, and stores without any."""

from tests.support.colours import colours, model, registry  # noqa: F401
from tests.support.registry import (  # noqa: F401
    any_store,
    empty_store,
    fork,
    killed,
    made_store,
    server,
    wait,
)
