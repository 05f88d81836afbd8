"""What is shown to people in a notebook and on a page: tables, facts, pictures, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows under a title.

    Attributes:
        title: what it is.
        columns: their heads; empty for a list of facts.
        rows: as many cells as there are columns.
        note: a sentence below it, if one is needed.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A drawing.

    Attributes:
        title: what it shows.
        svg: the drawing.
        text: what it says, for those who do not see it.
    """

    title: str
    svg: str
    text: str


def facts(title: str, *pairs: tuple[str, object], note: str = "") -> Table:
    """A table of two columns without heads: what, and what of it. None is shown as "-"."""
    rows = tuple((what, "-" if value is None else str(value)) for what, value in pairs)
    return Table(title, (), rows, note)
