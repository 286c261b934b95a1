"""Tables for a terminal: rows of cells in, lines with aligned columns out."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """One line per row; all rows have the same number of cells."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def with_omission(lines: Sequence[str], omitted: str) -> list[str]:
    """The lines of a table of the last records; below its heading stands what is left out."""
    return [lines[0], f"… {omitted}: --all", *lines[1:]]
