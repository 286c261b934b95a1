"""Lists of packages beside each other."""

import importlib.metadata

from resnet.checkout import packages

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


def test_a_lock_for_many_platforms_is_compared_by_names_and_versions() -> None:
    compared = packages.compare(
        LOCK, packages.pins("jax==0.12.0\nTyping_Extensions==4.15.0\nuv==1\n")
    )
    assert (compared.matching, compared.wrong) == (["jax", "typing-extensions"], [])
    assert (compared.undecided, compared.unpinned) == ([], ["uv"])


def test_a_package_that_is_pinned_with_a_marker_may_be_absent_and_no_other() -> None:
    compared = packages.compare(LOCK, packages.pins("uv==1\n"))
    assert (compared.matching, compared.undecided) == ([], ["jax"])
    assert compared.wrong == ["typing-extensions none, not 4.15.0"]
    other = packages.compare(LOCK, packages.pins("jax==0.11.0\ntyping-extensions==4.15.0\n"))
    assert (other.wrong, other.undecided) == (["jax 0.11.0, not 0.10.2 or 0.12.0"], [])


def test_what_is_installed_is_listed() -> None:
    installed = packages.pins(packages.listed())
    assert installed["numpy"] == {importlib.metadata.version("numpy")}
