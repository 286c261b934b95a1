"""What all tests share: how they are spread over processes."""

import pytest


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests in one process, and all that use the one end-to-end checkout."""
    for item in items:
        shared = "checkout" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("checkout" if shared else str(item.path)))
