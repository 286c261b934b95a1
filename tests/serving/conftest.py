"""A registered model that names colours."""

from tests.support.colours import colours, model, registry  # noqa: F401
