import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from resnet import params
from resnet.data import download
from resnet.data.datasets import File
from resnet.errors import PipelineError

ADVICE = "run this again, or set CIFAR10_ARCHIVE"
CONTENT = hashlib.shake_128(b"content").digest(3_000_000)
PUBLISHED = File(
    len(CONTENT),
    hashlib.md5(CONTENT, usedforsecurity=False).hexdigest(),
    hashlib.sha256(CONTENT).hexdigest(),
)
RUNTIME = params.Runtime(
    progress_seconds=60,
    lock_seconds=0.1,
    checkpoint_seconds=60,
    settle_seconds=60,
    approval_hours=1,
    worker_runs="auto",
)
Answer = Callable[["Handler", int], None]


class Handler(BaseHTTPRequestHandler):
    """Answers request after request as the server's list `answers` says; the last one stays."""

    server: "Server"

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        answer(self, int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0)

    def do_HEAD(self) -> None:
        self.begin(405, 0, 0)

    def begin(self, code: int, start: int, total: int = len(CONTENT)) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(total - start))
        if code == 206:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Answer] = [whole]
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/cifar.tar.gz"

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no error of the test."""


def whole(handler: Handler, start: int) -> None:
    handler.begin(206 if start else 200, start)
    handler.wfile.write(CONTENT[start:])


def cut(handler: Handler, start: int) -> None:
    handler.begin(206 if start else 200, start)
    handler.wfile.write(CONTENT[start : start + 1_000_000])


def deaf_to_ranges(handler: Handler, start: int) -> None:
    handler.begin(200, 0)
    handler.wfile.write(CONTENT)


def another_range(handler: Handler, start: int) -> None:
    handler.begin(206, start - 1000)
    handler.wfile.write(CONTENT[start - 1000 :])


def other_bytes(handler: Handler, start: int) -> None:
    handler.begin(206 if start else 200, start)
    handler.wfile.write(bytes(len(CONTENT) - start))


def dead(handler: Handler, start: int) -> None:
    handler.close_connection = True


def endless(handler: Handler, start: int) -> None:
    handler.begin(200, 0, 10 * len(CONTENT))
    handler.wfile.write(10 * CONTENT)


def status(code: int) -> Answer:
    return lambda handler, start: handler.begin(code, 0, 0)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "cifar.tar.gz"


def fetch(server: Server, target: Path, *answers: Answer) -> None:
    server.answers = list(answers)
    download.download(server.url, target, PUBLISHED, RUNTIME, ADVICE, pause=0.01)


def test_a_file_is_downloaded_once(server: Server, target: Path) -> None:
    fetch(server, target, whole)
    fetch(server, target, whole)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None]


def test_a_cut_connection_is_resumed_where_it_was_cut(server: Server, target: Path) -> None:
    fetch(server, target, cut, cut, whole)
    assert target.read_bytes() == CONTENT
    starts = [int(asked.strip("bytes=-")) for asked in server.asked if asked]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1]


def test_a_later_call_resumes_what_an_earlier_one_left(server: Server, target: Path) -> None:
    with pytest.raises(PipelineError, match="the server answered 404"):
        fetch(server, target, cut, status(404))
    assert not target.exists()
    fetch(server, target, whole)
    assert target.read_bytes() == CONTENT
    assert server.asked[-1] not in (None, "bytes=0-")


def test_a_server_that_ignores_ranges_starts_over(server: Server, target: Path) -> None:
    fetch(server, target, cut, deaf_to_ranges)
    assert target.read_bytes() == CONTENT


def test_another_range_than_the_one_asked_for_is_not_appended(server: Server, target: Path) -> None:
    fetch(server, target, cut, another_range, whole)
    assert target.read_bytes() == CONTENT
    assert server.asked[-1] is None


def test_a_part_longer_than_the_file_is_discarded(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("cifar.tar.gz.part").write_bytes(CONTENT + b"more")
    fetch(server, target, whole)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_busy_server_is_asked_again(code: int, server: Server, target: Path) -> None:
    fetch(server, target, status(code), status(code), whole)
    assert target.read_bytes() == CONTENT


def test_a_server_that_stays_busy_is_asked_five_times(server: Server, target: Path) -> None:
    with pytest.raises(PipelineError, match="the server answered 503; .*set CIFAR10_ARCHIVE"):
        fetch(server, target, status(503))
    assert len(server.asked) == 5


def test_a_file_that_is_not_there_is_asked_for_once(server: Server, target: Path) -> None:
    with pytest.raises(PipelineError, match="the server answered 404; .*set CIFAR10_ARCHIVE"):
        fetch(server, target, status(404))
    assert len(server.asked) == 1


@pytest.mark.parametrize("wrong", [other_bytes, endless])
def test_wrong_bytes_are_deleted_and_a_second_try_works(
    wrong: Answer, server: Server, target: Path
) -> None:
    with pytest.raises(PipelineError, match="with sha256 .* the published file 3000000 with"):
        fetch(server, target, wrong)
    assert not [path for path in target.parent.iterdir() if path.suffix != ".lock"]
    fetch(server, target, whole)
    assert target.read_bytes() == CONTENT


def test_a_part_of_other_bytes_is_deleted_and_a_second_try_works(
    server: Server, target: Path
) -> None:
    target.parent.mkdir()
    target.with_name("cifar.tar.gz.part").write_bytes(bytes(1000))
    with pytest.raises(PipelineError, match="it was deleted"):
        fetch(server, target, whole)
    fetch(server, target, whole)
    assert target.read_bytes() == CONTENT


def test_no_network_is_one_clear_error_that_names_the_way_out(target: Path) -> None:
    with pytest.raises(PipelineError, match=r"cannot be downloaded: .*refused.*CIFAR10_ARCHIVE"):
        download.download("http://127.0.0.1:9/x", target, PUBLISHED, RUNTIME, ADVICE, pause=0.01)


def test_a_full_disk_is_not_mistaken_for_a_network_failure(server: Server, target: Path) -> None:
    target.parent.mkdir()
    os.symlink("/dev/full", target.with_name("cifar.tar.gz.part"))  # noqa: PTH211
    with pytest.raises(OSError, match="No space left") as error:
        fetch(server, target, whole)
    assert error.value.errno == errno.ENOSPC
    assert len(server.asked) == 1


def test_two_processes_never_write_one_part(server: Server, target: Path) -> None:
    target.parent.mkdir()
    with (
        FileLock(target.with_name("cifar.tar.gz.lock")),
        pytest.raises(PipelineError, match="another process has been downloading .* for 0 s"),
    ):
        fetch(server, target, whole)
    assert not server.asked
    fetch(server, target, whole)
    assert target.read_bytes() == CONTENT


def test_progress_counts_what_an_earlier_call_left(
    server: Server, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(server, target, cut, deaf_to_ranges)
    assert f"download: 100 % ({len(CONTENT)} of {len(CONTENT)} B)" in capsys.readouterr().out


def why_unreachable(server: Server, *answers: Answer) -> str | None:
    server.answers = list(answers)
    return download.why_unreachable(server.url, pause=0.01)


def test_an_address_that_cannot_be_reached_is_explained(server: Server) -> None:
    assert "answers 404" in str(why_unreachable(server, status(404)))
    assert len(server.asked) == 1
    assert "answers 503" in str(why_unreachable(server, status(503)))
    assert len(server.asked) == 3
    for url in ("http://127.0.0.1:9/x", "https://no-such-host.invalid/x"):
        assert "cannot be reached" in str(download.why_unreachable(url))


@pytest.mark.parametrize("answers", [[whole], [deaf_to_ranges], [dead, whole], [status(429), cut]])
def test_a_server_that_sends_a_byte_at_the_second_attempt_is_reachable(
    answers: list[Answer], server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert why_unreachable(server, *answers) is None
    assert server.asked[-1] == "bytes=0-0"
    assert capsys.readouterr().out == ""  # the first line of `make run` is about the data set


def fetch_unverified(server: Server, target: Path, *answers: Answer) -> None:
    server.answers = list(answers)
    most = len(CONTENT) + 1000
    download.download_unverified(server.url, target, most, RUNTIME, ADVICE, pause=0.01)


@pytest.mark.parametrize("before", [[], [status(503)], [dead], [cut]])
def test_what_has_no_published_hash_is_downloaded_whole_after_failures_too(
    server: Server, target: Path, before: list[Answer]
) -> None:
    fetch_unverified(server, target, *before, whole)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None] * (len(before) + 1)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (status(404), "the server answered 404; run this again"),
        (endless, "it has more than 3,001,000 bytes"),
        (cut, "cannot be downloaded: "),
    ],
)
def test_what_has_no_published_hash_and_cannot_be_had_whole_leaves_nothing(
    server: Server, target: Path, answer: Answer, match: str
) -> None:
    with pytest.raises(PipelineError, match=match):
        fetch_unverified(server, target, answer)
    assert not target.exists()
