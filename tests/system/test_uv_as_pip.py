"""uv installs from where pip would, unless the user has told uv itself."""

import http.server
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from resnet.system import uv_as_pip
from tests.support import REPOSITORY, loaded

CONFIG = """
[global]
index-url = https://ann:s3cret@all.example/simple
extra-index-url =
    https://more.example/simple
    https://most.example/simple
cert = /etc/company.pem
[install]
trusted-host = all.example
[freeze]
timeout = 10
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables without any of pip's or uv's, and with a home and a pip.conf of their own."""
    (tmp_path / "pip.conf").write_text(CONFIG)
    ours = ("PIP_", "UV_", "SSL_CERT_FILE", "XDG_CONFIG_HOME")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "HOME": str(tmp_path), "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}


def run(environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "resnet.system.uv_as_pip", *command]
    return subprocess.run(
        words, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )


def variables(environment: dict[str, str]) -> dict[str, str]:
    """What uv would have in its environment beyond that."""
    lines = run(environment, "env").stdout.splitlines()
    values = dict(line.partition("=")[::2] for line in lines)
    return {name: value for name, value in values.items() if environment.get(name) != value}


def test_pips_configured_index_is_uvs(environment: dict[str, str]) -> None:
    assert variables(environment) == {
        "UV_DEFAULT_INDEX": "https://ann:s3cret@all.example/simple",
        "UV_INDEX": "https://more.example/simple https://most.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "all.example",
        "SSL_CERT_FILE": "/etc/company.pem",
    }


def test_pips_variables_come_before_its_file_and_uvs_own_before_both(
    environment: dict[str, str],
) -> None:
    environment |= {"PIP_INDEX_URL": "https://mine.example/simple", "UV_EXTRA_INDEX_URL": "x"}
    assert variables(environment) == {
        "UV_DEFAULT_INDEX": "https://mine.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "all.example",
        "SSL_CERT_FILE": "/etc/company.pem",
    }
    own = Path(environment["HOME"]) / ".config" / "uv" / "uv.toml"
    own.parent.mkdir(parents=True)
    own.touch()
    assert variables(environment) == {}


def test_without_an_index_uv_looks_into_the_folders_that_pip_looks_into() -> None:
    pip = {"no-index": "true", "find-links": "/srv/wheels\n/srv/more"}
    words = ["--no-index", "--find-links", "/srv/wheels", "--find-links", "/srv/more"]
    assert uv_as_pip.options(pip) == words
    assert uv_as_pip.options({**pip, "no-index": "0"}) == []


def test_it_needs_nothing_that_is_not_there_before_the_installation() -> None:
    its_own = loaded("import resnet.system.uv_as_pip") - loaded("pass")
    assert "resnet.system.uv_as_pip" in its_own
    modules = {name.partition(".")[0] for name in its_own}
    assert modules <= {*sys.stdlib_module_names, "resnet"}


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """The address of a package index on loopback that has one package, in one version."""
    wheel = tmp_path / "index" / "a-demo" / "a_demo-1.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        about = "a_demo-1.0.dist-info"
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: a-demo\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    (wheel.parent / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "index"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_uv_finds_a_package_that_only_pips_index_has(
    environment: dict[str, str], index: str, tmp_path: Path
) -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        pytest.skip("uv is not installed beside this Python: 'make' installs it")
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {index}\n")
    words = (
        "pip",
        "install",
        "--dry-run",
        "--no-cache",
        "--target",
        str(tmp_path / "to"),
        "a-demo",
    )
    done = run({**environment, "NO_PROXY": "127.0.0.1"}, uv, *words)
    assert done.returncode == 0, done.stderr
    assert "+ a-demo==1.0" in done.stderr
