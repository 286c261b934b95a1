"""Take logins out of the addresses in a text, before it is printed, logged or recorded.

`https://user:password@host/x?token=abc` → `https://host/x?token=***`
"""

import logging
import re
import sys
import traceback
from types import TracebackType

# With one slash, too: pathlib makes that of an address. But models:/NAME@ALIAS has no login.
START = r"([a-z][a-z0-9+.-]*://|https?:/)"
LOGIN = re.compile(START + r"[^\s/?#\"'<>]*@", re.IGNORECASE)
# Its password should have been percent-encoded. In http://host:80/a@b the digits are a port.
UNENCODED = re.compile(START + r"[^\s:/?#@\[\"'<>]*:(?!\d+[/?#])[^\s@\"'<>]*@", re.IGNORECASE)
QUERY = re.compile(
    r"([?&#;][\w.-]*(?:pass|pwd|token|secret|key|signature|\bsig\b|auth|credential)[\w.-]*=)"
    r"[^\s&#;\"'<>()]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """The text without user, password and the values of secret parameters in its addresses."""
    for login in (LOGIN, UNENCODED):
        text = login.sub(r"\1", text)
    return QUERY.sub(r"\1***", text)


def install() -> None:
    """Redact all that this process logs from now on, and the traceback that it may end with.

    What libraries log is redacted too: Prefect's log of a flow run, for example. Safe to repeat.
    """
    logging.setLogRecordFactory(_Record)
    sys.excepthook = _print_traceback


class _Record(logging.LogRecord):
    """A record whose message and traceback are redacted, whatever handler writes it."""

    def getMessage(self) -> str:  # noqa: N802  (logging's name)
        return redact(super().getMessage())

    def __setattr__(self, name: str, value: object) -> None:
        if name == "exc_text" and isinstance(value, str):  # a formatter keeps the traceback there
            value = redact(value)
        super().__setattr__(name, value)


def _print_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    print(redact("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)
