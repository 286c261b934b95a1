"""Download one published file over an unsure network.

address → verified file. What has come is kept in a .part file, so that the next try, in this
process or a later one, asks only for the rest. A network that fails is tried again; an answer
that will not change (404), or wrong bytes, is not.
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
ASK_TIMEOUT = (8, 12)
CHUNK = 1 << 18
ATTEMPTS = 5
ASK_ATTEMPTS = 2
HEAL = {408, 425, 429, 500, 502, 503, 504}


class _InterruptedError(Exception):
    """The network or the server failed in a way that may heal."""


class _FinalError(Exception):
    """What the address gives will not change by itself."""


def download(
    url: str,
    path: Path,
    wanted: File,
    runtime: params.Runtime,
    ways_out: str,
    pause: float = 1,
) -> None:
    """Make `path` the file at `url`; do nothing where it already is.

    Tries up to five times, `pause` seconds apart at first and twice as long each time. Raises
    PipelineError, which ends with the `ways_out`, when that was in vain, when the answer is final,
    or when the bytes are not those `wanted`. One process at a time; a second one waits for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with FileLock(path.with_name(path.name + ".lock"), timeout=runtime.lock_seconds):
            if path.exists() and File.of(path) == wanted:
                return
            with Progress("download", wanted.size, "B", runtime.progress_seconds) as progress:
                _retrying(pause)(_attempt, url, part, wanted.size, progress)
            _accept(part, path, wanted)
    except Timeout:
        raise PipelineError(
            f"another process has been downloading {path} for {runtime.lock_seconds:.0f} s: wait "
            "for it or end it, then run this again"
        ) from None
    except _InterruptedError as error:
        raise PipelineError(f"{url} cannot be downloaded: {error}; {ways_out}") from error
    except _FinalError as error:
        raise PipelineError(f"{url} {error}; {ways_out}") from error


def silence(url: str, pause: float = 1) -> str | None:
    """Why `url` cannot be downloaded now, as far as its first byte tells; None where it can.

    Asks the way `download` does, and once more, `pause` seconds later, where that may heal. Takes
    at most three quarters of a minute.
    """
    retrying = _retrying(pause).copy(
        stop=tenacity.stop_after_attempt(ASK_ATTEMPTS), before_sleep=None
    )
    try:
        retrying(_ask, url)
    except (_InterruptedError, _FinalError) as error:
        return f"{urlsplit(url).netloc} {error}"
    return None


def _ask(url: str) -> None:
    """For one byte, as some servers refuse to tell anything without content (405 to HEAD)."""
    headers = {"Accept-Encoding": "identity", "Range": "bytes=0-0"}
    try:
        with requests.get(url, stream=True, timeout=ASK_TIMEOUT, headers=headers) as answer:
            if answer.status_code in HEAL:
                raise _InterruptedError(f"answers {answer.status_code}")
            if not answer.ok:
                raise _FinalError(f"answers {answer.status_code}")
            next(answer.iter_content(1), b"")
    except requests.RequestException as error:
        raise _InterruptedError(f"cannot be reached ({_reason(error)})") from error


def _retrying(pause: float) -> tenacity.Retrying:
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_InterruptedError),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_exponential(multiplier=pause, max=30),
        before_sleep=lambda state: print(
            f"download: {state.outcome and state.outcome.exception()}; trying again", flush=True
        ),
        reraise=True,
    )


def _attempt(url: str, part: Path, size: int, progress: Progress) -> None:
    """Ask for what `part` lacks of `size` bytes and append it."""
    there = part.stat().st_size if part.exists() else 0
    if there > size:
        part.unlink()
        there = 0
    progress.advance(there - progress.done)
    if there == size:
        return
    # Ranges are of the bytes as sent, so nothing may be compressed on the way.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={there}-"} if there else {})
    try:
        with requests.get(url, stream=True, timeout=TIMEOUT, headers=headers) as answer:
            if _goes_on(answer, url, part, there):
                mode = "ab"
            else:
                mode = "wb"
                progress.advance(-progress.done)
            with part.open(mode) as stream:
                for chunk in answer.iter_content(CHUNK):
                    stream.write(chunk)
                    progress.advance(len(chunk))
                    if progress.done > size:
                        break
    except requests.exceptions.SSLError as error:
        raise _FinalError(f"has no secure connection ({error})") from error
    except requests.RequestException as error:
        raise _InterruptedError(_reason(error)) from error
    if progress.done < size:
        raise _InterruptedError(f"cut off after {progress.done} of {size} bytes")


def _goes_on(answer: requests.Response, url: str, part: Path, there: int) -> bool:
    """Whether the answer holds only the bytes after `there`; raises where it holds neither."""
    code = answer.status_code
    if code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {there}-"):
        return True
    if code == 200:  # a server that knows no ranges starts over
        return False
    if code in (206, 416):
        part.unlink(missing_ok=True)
        raise _InterruptedError("the server sent another range than the one asked for")
    if code in HEAL:
        raise _InterruptedError(f"the server answered {code}")
    raise _FinalError(f"cannot be downloaded: the server answered {code}")


def _accept(part: Path, path: Path, wanted: File) -> None:
    found = File.of(part)
    if found != wanted:
        part.unlink()
        raise _FinalError(
            f"has {found.size} bytes with sha256 {found.sha256[:12]}…, the published file "
            f"{wanted.size} with {wanted.sha256[:12]}…: it was deleted"
        )
    part.replace(path)


def _reason(error: requests.RequestException) -> str:
    """The cause at the bottom, without the layers of library around it."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return str(cause) or type(cause).__name__
