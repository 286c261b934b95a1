"""What all tests share: an environment without the user's own servers, folders and deafness, which
worker a test goes to and when, and a browser to look at pages with."""

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine, event
from xdist.scheduler import LoadFileScheduling

from resnet.checkout import project
from resnet.model import backend
from resnet.system import addresses, network

# The tests make their own.
THE_USERS = ("PREFECT_", "MLFLOW_", "RESNET_", "DVC_", "KERAS_", "MPLCONFIGDIR")

for name in [name for name in os.environ if name.startswith(THE_USERS)]:
    del os.environ[name]

# As every command has it: no telemetry, and no minutes of retries.
MLFLOWS = {name: value for name, value in project.defaults(Path()).items() if "MLFLOW" in name}
os.environ.update(MLFLOWS)
# A developer's `make ui` may hold the ports that a checkout's own servers have by default.
os.environ.update({name: str(addresses.free_port()) for name in network.PORTS})
os.environ["PYTHON_DOTENV_DISABLED"] = "1"  # nor does the repository's own .env count
os.environ["KERAS_HOME"] = os.devnull  # Keras reads no settings there, and leaves none
# As `backend.select` has it, which some tests import TensorFlow before: the same bits everywhere.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
# Many processes share the machine's cores: threads for all of them in each would wait in turn.
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
os.environ.update(dict.fromkeys(THREADS, "1"))

# A shell starts its background jobs deaf to Ctrl-C, and all that they start inherits it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@event.listens_for(Engine, "connect")
def _without_waiting_for_the_disk(connection: Any, _: Any) -> None:
    """A process that is killed loses nothing by it, and no test cuts the power."""
    with suppress(sqlite3.DatabaseError):  # some tests damage their store
        connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture(scope="session")
def with_all_cores() -> Callable[[Mapping[str, str]], dict[str, str]]:
    """A function that gives an environment whose processes take a thread for each core again."""
    return lambda env: {name: value for name, value in env.items() if name not in THREADS}


class ByCheckout(LoadFileScheduling):
    """The tests of a file go to one worker, whatever --dist says; so do all of one checkout."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        folder = file.rpartition("/")[0]
        return folder if folder.endswith("/one_checkout") else file


LONGEST_FIRST = [Path(__file__).parent / name for name in ("end_to_end", "training", "registry")]


def pytest_collection_modifyitems(items):
    """What takes longest goes first, so that the workers end together."""
    items.sort(key=lambda item: [folder not in item.path.parents for folder in LONGEST_FIRST])


@pytest.hookimpl(optionalhook=True)  # where xdist is switched off, nobody asks
def pytest_xdist_make_scheduler(config, log):
    return ByCheckout(config, log)


def pytest_configure(config):
    """A worker of the whole suite imports Keras as our programs do: for TensorFlow alone."""
    if hasattr(config, "workerinput"):
        with patch.dict(os.environ):  # the tests' own processes choose for themselves
            backend.select("tensorflow", "cpu")


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=40, help="how many trainings `make soak` ends")
    parser.addoption("--seed", type=int, default=0, help="decides which and when")
    parser.addoption(
        "--every-write", action="store_true", help="kill before each write, not before each second"
    )


@pytest.fixture(autouse=True)
def no_named_server(monkeypatch):
    """The checkout's own SQLite store, unless a test names another."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 120_000  # ms: a browser that starts on a busy machine takes its time
PICTURES = """() => Promise.all([...document.images].map(async one => {
    await one.decode().catch(() => {});
    return [one.alt, one.complete && one.naturalWidth > 0];
}))"""


@dataclass(frozen=True)
class LookedAt:
    """A page as a browser shows it."""

    title: str
    text: str
    pictures: tuple[str, ...]  # what those that were drawn show, in words
    errors: tuple[str, ...]  # and warnings: the console's, scripts', requests', undrawn pictures
    hosts: frozenset[str]  # those that it has asked for anything
    width: int  # of all that is on it, in pixels: wider than the window where it has to be scrolled


@pytest.fixture(scope="session")
def browse() -> Iterator[Callable[..., LookedAt]]:
    """`browse(path, width=1280)` opens an HTML file in an installed Chromium.

    Of a server `browse(address, until=…)` opens a page, and looks once that text is on it.
    It is started once, in a thread of its own: other tests would meet Playwright's event loop.
    """
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed, and this test looks at a page")
    with ThreadPoolExecutor(1) as thread:
        playwright, browser = thread.submit(_start, found).result()
        yield lambda path, width=1280, until="": thread.submit(
            _look, browser, path, width, until
        ).result()
        thread.submit(browser.close).result()
        thread.submit(playwright.stop).result()


def _start(executable: str) -> tuple[Any, Any]:
    from playwright.sync_api import sync_playwright

    playwright = sync_playwright().start()
    # Chromium's sandbox refuses to work for root, whom CI and containers have.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright, playwright.chromium.launch(
        executable_path=executable, args=options, timeout=PATIENCE
    )


def _look(browser: Any, path: Path | str, width: int, until: str) -> LookedAt:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(PATIENCE)
    errors: list[str] = []
    hosts: set[str] = set()

    def told(message: Any) -> None:
        if message.type in ("error", "warning"):
            errors.append(f"{message.type}: {message.text}")

    page.on("console", told)
    page.on("pageerror", lambda error: errors.append(f"script: {error}"))
    page.on("requestfailed", lambda one: errors.append(f"{one.url[:200]}: {one.failure}"))
    page.on("request", lambda one: hosts.add(urlsplit(one.url).hostname or ""))
    page.goto(path if isinstance(path, str) else path.resolve().as_uri())
    if until:
        page.get_by_text(until).first.wait_for()
    pictures = page.evaluate(PICTURES)
    seen = LookedAt(
        title=page.title(),
        text=page.inner_text("body"),
        pictures=tuple(says for says, drawn in pictures if drawn),
        errors=(*errors, *(f"not drawn: {says}" for says, drawn in pictures if not drawn)),
        width=page.evaluate("() => document.documentElement.scrollWidth"),
        hosts=frozenset(hosts - {""}),
    )
    page.close()
    return seen
