"""Lists of packages beside each other."""

import importlib.metadata

from resnet import packages

LOCK = """
jax==0.10.2 ; python_full_version < '3.12' \\
    --hash=sha256:00
jax==0.12.0 ; python_full_version >= '3.12' \\
    --hash=sha256:01
typing-extensions==4.15.0 \\
    --hash=sha256:02
"""


def test_a_package_fits_where_it_has_one_of_the_pinned_versions_however_its_name_is_written() -> (
    None
):
    pins = packages.pins(LOCK)
    fitting = packages.pins("jax==0.12.0\nTyping_Extensions==4.15.0\nresnet-pipeline==0.1.0\n")
    assert packages.missing(fitting, pins) == []
    other = packages.pins("jax==0.11.0\n")
    assert packages.missing(other, pins) == ["jax 0.10.2 or 0.12.0, not 0.11.0"]
    assert packages.missing(packages.pins("uv==1\n"), pins) == ["uv none, not 1"]
    assert packages.shared(packages.pins("uv==1\njax==1\n"), pins).keys() == {"jax"}


def test_what_is_installed_is_listed() -> None:
    found = packages.pins(packages.listed())
    assert found["numpy"] == {importlib.metadata.version("numpy")}
