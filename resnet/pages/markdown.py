"""Markdown for the pages that Prefect and MLflow show."""

import re
from collections.abc import Iterable, Sequence

# Before these a backslash is needed: what is markup anywhere, in CommonMark or on GitHub (as on
# Prefect's pages), and what begins a heading, a list or a rule where a text begins with it.
ANYWHERE = re.compile(r"(?=[\\`*_~<>&\[\]]|://)")
FIRST = re.compile(r"^(?:(?=[#=+-])|(\d+)(?=[.)](?: |$)))")
NUMBER = re.compile(r"[+-]?\d[\d,.]*%?|–")  # or that there is none


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; columns of numbers end at the right. What would end a cell early is escaped."""
    rows = list(rows)
    sides = ["---:" if _numbers(column) else "---" for column in zip(*rows, strict=True)]
    lines = [heading, sides or ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def text(words: str) -> str:
    """Words that someone typed, as Markdown in one line that shows them as they are: no markup."""
    return FIRST.sub(r"\1\\", ANYWHERE.sub(r"\\", _in_one_line(words)))


def _numbers(column: Sequence[str]) -> bool:
    return all(map(NUMBER.fullmatch, column))


def _cell(text: str) -> str:
    return _in_one_line(text.replace("|", "\\|"))


def _in_one_line(text: str) -> str:
    return " ".join(text.split())
