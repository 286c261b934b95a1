"""Download one published file over an unreliable network.

address → verified file. What has arrived is kept in a .part file, so that the next attempt, in this
process or a later one, asks only for the rest. A network failure is retried; an answer that will
not change (404), or wrong bytes, is not.
"""

from pathlib import Path
from urllib.parse import urlsplit

import requests
import tenacity
from filelock import FileLock, Timeout

from resnet import params
from resnet.data.datasets import File
from resnet.errors import PipelineError
from resnet.system.progress import Progress

TIMEOUT = (10, 30)  # seconds: to connect, and without a byte
PROBE_TIMEOUT = (8, 12)
CHUNK = 1 << 18
ATTEMPTS = 5
PROBE_ATTEMPTS = 2
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}  # status codes


class _TransientError(Exception):
    """The network or the server failed, and may work at the next attempt."""


class _PermanentError(Exception):
    """The address answers with something that will not change by itself."""


def download(
    url: str,
    path: Path,
    published: File,
    runtime: params.Runtime,
    advice: str,
    pause: float = 1,
) -> None:
    """Make `path` the file at `url`; do nothing if it already is.

    Tries up to five times, `pause` seconds apart at first and twice as long each time. Raises
    PipelineError, which ends with `advice`, when all attempts failed, when the answer will not
    change, or when the bytes are not the `published` ones. One process at a time; others wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with FileLock(path.with_name(path.name + ".lock"), timeout=runtime.lock_seconds):
            if path.exists() and File.of(path) == published:
                return
            with Progress("download", published.size, "B", runtime.progress_seconds) as progress:
                _retrying(pause)(_attempt, url, part, published.size, progress)
            _accept(part, path, published)
    except Timeout:
        raise PipelineError(
            f"another process has been downloading {path} for {runtime.lock_seconds:.0f} s: wait "
            "for it or end it, then run this again"
        ) from None
    except _TransientError as error:
        raise PipelineError(f"{url} cannot be downloaded: {error}; {advice}") from error
    except _PermanentError as error:
        raise PipelineError(f"{url} {error}; {advice}") from error


def download_unverified(
    url: str, path: Path, most: int, runtime: params.Runtime, advice: str, pause: float = 1
) -> None:
    """Make `path` what is at `url`, at most `most` bytes, which nobody has published a hash of.

    Whoever calls it verifies what is in it. Each attempt begins anew, as `download`'s do otherwise.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with Progress("download", most, "B", runtime.progress_seconds) as progress:
        try:
            _retrying(pause)(_whole, url, path, most, progress)
        except (_TransientError, _PermanentError) as error:
            path.unlink(missing_ok=True)
            raise PipelineError(f"{url} cannot be downloaded: {error}; {advice}") from error


def _whole(url: str, path: Path, most: int, progress: Progress) -> None:
    progress.advance(-progress.done)
    try:
        with requests.get(url, stream=True, timeout=TIMEOUT) as answer, path.open("wb") as stream:
            if answer.status_code in TRANSIENT:
                raise _TransientError(f"the server answered {answer.status_code}")
            if answer.status_code != 200:
                raise _PermanentError(f"the server answered {answer.status_code}")
            for chunk in answer.iter_content(CHUNK):
                stream.write(chunk)
                progress.advance(len(chunk))
                if progress.done > most:
                    raise _PermanentError(f"it has more than {most:,} bytes")
    except requests.RequestException as error:
        raise _TransientError(_reason(error)) from error


def why_unreachable(url: str, pause: float = 1) -> str | None:
    """Why `url` cannot be downloaded now, as far as its first byte shows; None if it can.

    Connects as `download` does, and once more, `pause` seconds later, after a transient failure.
    Takes at most three quarters of a minute.
    """
    retrying = _retrying(pause).copy(
        stop=tenacity.stop_after_attempt(PROBE_ATTEMPTS), before_sleep=None
    )
    try:
        retrying(_probe, url)
    except (_TransientError, _PermanentError) as error:
        return f"{urlsplit(url).netloc} {error}"
    return None


def _probe(url: str) -> None:
    """Ask for one byte: some servers answer nothing without content (405 to HEAD)."""
    headers = {"Accept-Encoding": "identity", "Range": "bytes=0-0"}
    try:
        with requests.get(url, stream=True, timeout=PROBE_TIMEOUT, headers=headers) as answer:
            if answer.status_code in TRANSIENT:
                raise _TransientError(f"answers {answer.status_code}")
            if not answer.ok:
                raise _PermanentError(f"answers {answer.status_code}")
            next(answer.iter_content(1), b"")
    except requests.RequestException as error:
        raise _TransientError(f"cannot be reached ({_reason(error)})") from error


def _retrying(pause: float) -> tenacity.Retrying:
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_TransientError),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_exponential(multiplier=pause, max=30),
        before_sleep=lambda state: print(
            f"download: {state.outcome and state.outcome.exception()}; trying again", flush=True
        ),
        reraise=True,
    )


def _attempt(url: str, part: Path, size: int, progress: Progress) -> None:
    """Ask for what `part` lacks of `size` bytes and append it."""
    present = part.stat().st_size if part.exists() else 0
    if present > size:
        part.unlink()
        present = 0
    progress.advance(present - progress.done)
    if present == size:
        return
    # Ranges are of the bytes as sent, so nothing may be compressed on the way.
    headers = {"Accept-Encoding": "identity"}
    if present:
        headers["Range"] = f"bytes={present}-"
    try:
        with requests.get(url, stream=True, timeout=TIMEOUT, headers=headers) as answer:
            mode = "ab"
            if not _is_continuation(answer, part, present):
                mode = "wb"
                progress.advance(-progress.done)
            with part.open(mode) as stream:
                for chunk in answer.iter_content(CHUNK):
                    stream.write(chunk)
                    progress.advance(len(chunk))
                    if progress.done > size:
                        break
    except requests.exceptions.SSLError as error:
        raise _PermanentError(f"has no secure connection ({error})") from error
    except requests.RequestException as error:
        raise _TransientError(_reason(error)) from error
    if progress.done < size:
        raise _TransientError(f"interrupted after {progress.done} of {size} bytes")


def _is_continuation(answer: requests.Response, part: Path, present: int) -> bool:
    """Whether the answer has only the bytes after the `present` ones; False if it has all of them.

    Raises where it has neither.
    """
    code = answer.status_code
    if code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {present}-"):
        return True
    if code == 200:  # a server without ranges starts over
        return False
    if code in (206, 416):
        part.unlink(missing_ok=True)
        raise _TransientError("the server sent another range than the one asked for")
    if code in TRANSIENT:
        raise _TransientError(f"the server answered {code}")
    raise _PermanentError(f"cannot be downloaded: the server answered {code}")


def _accept(part: Path, path: Path, published: File) -> None:
    file = File.of(part)
    if file != published:
        part.unlink()
        raise _PermanentError(
            f"has {file.size} bytes with sha256 {file.sha256[:12]}…, the published file "
            f"{published.size} with {published.sha256[:12]}…: it was deleted"
        )
    part.replace(path)


def _reason(error: requests.RequestException) -> str:
    """The cause at the bottom, without the layers of library around it."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return str(cause) or type(cause).__name__
