"""What a cell shows: every cell of a runbook ends in one call of this.

The same tables appear in Jupyter, in the executed notebook, on the page and as plain text.
"""

from __future__ import annotations

import base64
from html import escape
from typing import Any, Protocol

from archon_ops.model.shown import Picture, Table

Shown = Table | Picture


class Showing(Protocol):
    """Anything that knows how it is shown: a session, a plan, what a step answers."""

    def shown(self) -> tuple[Shown, ...]:
        """Its tables and pictures."""


class Look:
    """Tables and pictures, or a widget, as Jupyter asks for them."""

    def __init__(self, tables: tuple[Shown, ...], widget: Any = None) -> None:
        self._tables = tables
        self._widget = widget

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        """What is shown instead of the tables, where something can be."""
        return {} if self._widget is None else dict(self._widget._repr_mimebundle_())

    def _repr_html_(self) -> str:
        return "\n".join(map(html, self._tables))

    def __repr__(self) -> str:
        return "\n\n".join(map(_text, self._tables))


def look(*things: Shown | Showing) -> Look:
    """Show tables, pictures, and things that know how they are shown.

    One with a `widget` (panel.py) is shown as that.
    """
    found: list[Shown] = []
    for thing in things:
        found.extend((thing,) if isinstance(thing, Table | Picture) else thing.shown())
    widgets = (getattr(thing, "widget", None) for thing in things)
    return Look(tuple(found), next((one for one in widgets if one is not None), None))


def html(shown: Shown) -> str:
    """A table or a picture as HTML."""
    return _picture(shown) if isinstance(shown, Picture) else _table(shown)


def _picture(picture: Picture) -> str:
    """A drawing inside of the page: as an image, so that no name in it meets another's."""
    data = base64.b64encode(picture.svg.encode()).decode()
    source = f"data:image/svg+xml;base64,{data}"
    return (
        f"<figure><figcaption>{escape(picture.title)}</figcaption>"
        f'<img src="{source}" alt="{escape(picture.text)}"></figure>'
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(c)}</th>" for c in table.columns)
    rows = "".join(_html_row(row, facts=not table.columns) for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    top = f"<thead><tr>{head}</tr></thead>" if head else ""
    title = f"<caption>{escape(table.title)}</caption>"
    return f"<table>{title}{top}<tbody>{rows}</tbody></table>{note}"


def _html_row(row: tuple[str, ...], *, facts: bool) -> str:
    cells = [f"<td>{escape(cell)}</td>" for cell in row]
    if facts and len(row) > 1:
        cells[0] = f"<th>{escape(row[0])}</th>"
    return f"<tr>{''.join(cells)}</tr>"


def _text(shown: Shown) -> str:
    if isinstance(shown, Picture):
        return f"{shown.title}\n{shown.text}"
    return _text_table(shown)


def _text_table(table: Table) -> str:
    lines = [row for row in (table.columns, *table.rows) if row]
    widths = [max(map(len, column)) for column in zip(*lines, strict=False)]
    body = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=False)).rstrip() for r in lines]
    return "\n".join([table.title, *body, *([table.note] if table.note else [])])
