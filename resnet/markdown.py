"""Markdown for the pages that Prefect and MLflow show."""

import re
from collections.abc import Iterable, Sequence

NUMBER = re.compile(r"[+-]?\d[\d,.]*%?|–")  # or that there is none


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; columns of numbers end at the right. What would end a cell early is escaped."""
    rows = list(rows)
    sides = ["---:" if _numbers(column) else "---" for column in zip(*rows, strict=True)]
    lines = [heading, sides or ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _numbers(column: Sequence[str]) -> bool:
    return all(map(NUMBER.fullmatch, column))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
