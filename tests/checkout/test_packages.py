"""Lists of packages beside each other."""

import importlib.metadata

import pytest

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


LINUX = packages.environment_markers("3.12.1", "Linux-6.1-aarch64-with-glibc2.36")
MACOS = packages.environment_markers("3.11.7", "macOS-14.5-arm64-arm-64bit")


@pytest.mark.parametrize(
    ("marker", "where"),
    [
        ("", [LINUX, MACOS]),
        (" ; python_full_version >= '3.12'", [LINUX]),
        (" ; python_version == '3.11' and sys_platform != 'win32'", [MACOS]),
        (" ; platform_system == 'Darwin'", [MACOS]),
        (" ; sys_platform == 'win32' or platform_machine == 'aarch64'", [LINUX]),
        (" ; a_variable == 'of later days'", []),
        (" ; no marker at all", []),
    ],
)
def test_a_pin_is_for_the_pythons_and_platforms_of_its_marker(
    marker: str, where: list[dict[str, str]]
) -> None:
    lock = f"thing==1.0{marker} \\\n    --hash=sha256:00\n"
    assert packages.pins(lock) == {"thing": {"1.0"}}
    assert [place for place in (LINUX, MACOS) if packages.pins(lock, place)] == where


def test_what_is_installed_is_listed() -> None:
    installed = packages.pins(packages.listed())
    assert installed["numpy"] == {importlib.metadata.version("numpy")}
