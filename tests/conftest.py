"""What all tests share: a clean environment, and how they are spread over processes."""

import os

import pytest

# The user's servers and folders are not the tests': these make their own.
THE_USERS = ("PREFECT_", "MLFLOW_", "RESNET_", "DVC_", "MPLCONFIGDIR")

for name in [name for name in os.environ if name.startswith(THE_USERS)]:
    del os.environ[name]


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests in one process, and all that use the one end-to-end checkout."""
    for item in items:
        shared = "checkout" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("checkout" if shared else str(item.path)))
