"""Rows for people: aligned text everywhere, drawn with lines on a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence

from archon_ops.cli.text import as_called, clean

_NUMBER = re.compile(r"[-+~]?[\d.,]+( ?([KMGT]?B|%|s|h|d))?")


def cells_of(rows: Sequence[Sequence[object]]) -> list[list[str]]:
    """Every cell as one visible line; "-" where there is nothing to say."""
    return [["-" if cell is None else clean(as_called(str(cell))) for cell in row] for row in rows]


def numeric(cells: Sequence[Sequence[str]], column: int) -> bool:
    """Whether a column holds numbers, sizes or shares, and so is aligned to the right."""
    said = [row[column] for row in cells if row[column] != "-"]
    return bool(said) and all(_NUMBER.fullmatch(text) for text in said)


def plain_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Aligned columns, two spaces apart; nothing is cut, so that scripts can rely on names."""
    cells = cells_of(rows)
    widths = [max(map(len, values)) for values in zip(columns, *cells, strict=True)]
    right = [numeric(cells, index) for index in range(len(columns))]
    lines = [list(columns), ["-" * width for width in widths], *cells]
    body = (_aligned(line, widths, right) for line in lines)
    return "\n".join([*([clean(title)] if title else []), *body]) + "\n"


def _aligned(line: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        text.rjust(width) if is_right else text.ljust(width)
        for text, width, is_right in zip(line, widths, right, strict=True)
    )
    return "  ".join(padded).rstrip()


def drawn_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, colour: bool
) -> str:
    """The same with lines, as wide as the terminal; long names are folded, never cut."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = cells_of(rows)
    table = Table(title=Text(clean(title)), title_justify="left", box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        justify = "right" if numeric(cells, index) else "left"
        table.add_column(Text(column), justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in cells:
        table.add_row(*map(Text, row))
    console = Console(force_terminal=True, no_color=not colour, highlight=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get()
