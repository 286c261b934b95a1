"""Markdown for the pages that Prefect and MLflow show."""

import re
from collections.abc import Iterable, Sequence

# These need a backslash: what is markup anywhere, in CommonMark or on GitHub (and so on Prefect's
# pages), and what begins a heading, a list or a rule at the start of a text.
ANYWHERE = re.compile(r"(?=[\\`*_~<>&\[\]]|://)")
AT_START = re.compile(r"^(?:(?=[#=+-])|(\d+)(?=[.)](?: |$)))")
NUMBER = re.compile(r"[+-]?\d[\d,.]*%?|–")  # the dash: there is none


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with columns of numbers aligned to the right; bars and line breaks are escaped."""
    rows = list(rows)
    rules = ["---:" if _is_numeric(column) else "---" for column in zip(*rows, strict=True)]
    lines = [heading, rules or ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def text(words: str) -> str:
    """Words that someone typed, as one line of Markdown that shows them as typed: no markup."""
    return AT_START.sub(r"\1\\", ANYWHERE.sub(r"\\", _in_one_line(words)))


def _is_numeric(column: Sequence[str]) -> bool:
    return all(map(NUMBER.fullmatch, column))


def _cell(text: str) -> str:
    return _in_one_line(text.replace("|", "\\|"))


def _in_one_line(text: str) -> str:
    return " ".join(text.split())
