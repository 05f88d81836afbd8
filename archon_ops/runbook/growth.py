"""The growth of a source: history, projection, the document's table, decisions.

Each function is a cell of runbooks/growth.ipynb.
"""

from __future__ import annotations

from dataclasses import dataclass

from archon_ops.actions.growth import Outlook, outlook
from archon_ops.errors import UsageError
from archon_ops.model import outlook as documents
from archon_ops.model.shown import Picture, Table, facts
from archon_ops.model.units import human_duration, zulu
from archon_ops.runbook import charts
from archon_ops.runbook.session import Session

STEPS = (
    ("growth.history", "Read the history"),
    ("growth.project", "Project it"),
    ("growth.table", "Recompute the document's table"),
    ("growth.decide", "Date what falls due"),
)
_MOST_DAYS = 5 * 365
_DRAWN = ("database", "backup", "local storage", "backup time", "recovery time")


@dataclass(frozen=True)
class Shown:
    """Tables and pictures of one cell."""

    things: tuple[Table | Picture, ...]

    def shown(self) -> tuple[Table | Picture, ...]:
        """They themselves."""
        return self.things


def plan(run: Session) -> Table:
    """What will be done; the database is not asked."""
    return run.plan(*STEPS)


def history(run: Session) -> Outlook:
    """Everything that is known, projected.

    Raises:
        PreconditionError: the history is too short.
    """
    with run.step("growth.history", "Read the history"):
        return outlook(run.site)


def known(found: Outlook) -> Shown:
    """What the history holds, and its jumps."""
    growth, past = found.growth, found.history
    table = facts(
        "History",
        ("Points", len(past.points)),
        ("From", zulu(past.points[0].at)),
        ("To", zulu(growth.since)),
        ("Over", human_duration(growth.projection.span * 86_400)),
        ("Growth a day, jumps left out", documents.amount(growth.projection.drift, "bytes")),
        ("Rates from", growth.rates.basis),
        note="; ".join([*documents.told(growth, found.decisions), *past.notes]),
    )
    jumps = table_of("Jumps and shrinks", ("seen", "database"), documents.jump_rows(growth))
    return Shown((table, *([jumps] if jumps.rows else [])))


def projected(run: Session, found: Outlook, days: float) -> Shown:
    """Curves with their bands, and the same as a table.

    Raises:
        UsageError: the days make no sense.
    """
    if not 1 <= days <= _MOST_DAYS:
        raise UsageError(f"days={days} cannot be projected", f"1 to {_MOST_DAYS}")
    with run.step("growth.project", "Project it"):
        growth = found.growth
        curves = [growth.curves[name] for name in _DRAWN if name in growth.curves]
        pictures = tuple(charts.growth_chart(growth, curve, days) for curve in curves)
        run.fact(
            "growth",
            documents.growth_document(
                run.site.name, growth, found.history, found.table, found.decisions
            ),
        )
        title = f"Projection{f' ({growth.label})' if growth.label else ''}"
        rows = documents.curve_rows(growth)
    return Shown((*pictures, table_of(title, documents.CURVE_COLUMNS, rows)))


def recomputed(run: Session, found: Outlook) -> Table:
    """The document's growth table, with what was measured here beside it."""
    with run.step("growth.table", "Recompute the document's table"):
        growth = found.growth
        columns = documents.table_columns(growth.kept)
        title = f"The document's table, beside what holds here ({growth.rates.basis})"
        return table_of(title, columns, documents.table_rows(found.table))


def decided(run: Session, found: Outlook) -> Table:
    """What falls due, and when."""
    with run.step("growth.decide", "Date what falls due"):
        rows = documents.decision_rows(found.decisions)
        return table_of("Decisions", documents.DECISION_COLUMNS, rows)


def table_of(title: str, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> Table:
    """A table of anything; "-" where there is nothing to say."""
    cells = tuple(tuple("-" if cell is None else str(cell) for cell in row) for row in rows)
    return Table(title, columns, cells)
