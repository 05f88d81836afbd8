"""The answer of `inv growth`, for programs and for tables."""

from __future__ import annotations

from collections.abc import Sequence

from archon_ops.model.calibration import Calibration
from archon_ops.model.decisions import Decision, Row, size_text
from archon_ops.model.growth import Curve, Growth, Line, finite
from archon_ops.model.history import History
from archon_ops.model.units import human_duration, human_size, zulu

Document = dict[str, object]
Cells = tuple[object, ...]

SOON, LATER = 30, 365
CURVE_COLUMNS = ("what", "now", "in 30 d", "between", "in 365 d", "between")
TRIAL_COLUMNS = ("times the rows", "rows", "database", "backup", "dump took", "restore took")
DECISION_COLUMNS = ("what", "when, or what holds", "then")


def growth_document(
    source: str,
    growth: Growth,
    history: History,
    rows: Sequence[Row],
    decided: Sequence[Decision],
) -> Document:
    """All of a projection."""
    rates = growth.rates
    return {
        "source": source,
        "points": len(history.points),
        "since": zulu(history.points[0].at),
        "until": zulu(growth.since),
        "label": growth.label,
        "drift_bytes_per_day": round(growth.projection.drift),
        "kept_backups": growth.kept,
        "jumps": [{"at": zulu(m.at), "bytes": round(m.bytes)} for m in growth.marked],
        "series": [_curve_document(growth, curve) for curve in growth.curves.values()],
        "table": [vars(row) for row in rows],
        "decisions": [_decision_document(decision) for decision in decided],
        "rates": {
            "basis": rates.basis,
            "backup_bytes": _line(rates.backup_bytes),
            "backup_seconds": _line(rates.backup_seconds),
            "recovery_seconds": _line(rates.recovery_seconds),
        },
        "notes": list(history.notes),
    }


def trial_rows(calibration: Calibration) -> list[Cells]:
    """One row a synthetic database, columns as TRIAL_COLUMNS says."""
    return [
        (
            f"{trial.factor:.2f}",
            trial.rows,
            human_size(trial.database_bytes),
            human_size(trial.backup_bytes),
            human_duration(trial.backup_seconds),
            human_duration(trial.restore_seconds),
        )
        for trial in calibration.trials
    ]


def curve_rows(growth: Growth) -> list[Cells]:
    """Each quantity now, in 30 days and in a year, with its band."""
    return [_curve_row(curve) for curve in growth.curves.values()]


def table_columns(kept: int) -> tuple[str, ...]:
    """Heads of the document's table."""
    return (
        "database",
        "backup: document",
        "here",
        "10 backups: document",
        f"{kept} here",
        "backup takes",
        "recovery takes",
    )


def table_rows(rows: Sequence[Row]) -> list[Cells]:
    """The document's table with what was measured here beside it."""
    return [
        (
            human_size(row.database_bytes),
            size_text(row.document_backup_bytes),
            size_text(row.backup_bytes),
            size_text(row.document_storage_bytes),
            size_text(row.storage_bytes),
            _seconds(row.backup_seconds),
            _seconds(row.recovery_seconds),
        )
        for row in rows
    ]


def decision_rows(decided: Sequence[Decision]) -> list[Cells]:
    """What to decide, and when."""
    return [(d.what, f"{d.answer}{' ?' if d.far else ''}", d.to_do or None) for d in decided]


def jump_rows(growth: Growth) -> list[Cells]:
    """Jumps and shrinks, the newest ones."""
    return [
        (zulu(m.at), f"{'+' if m.bytes > 0 else '-'}{human_size(round(abs(m.bytes)))}")
        for m in growth.marked[-8:]
    ]


def told(growth: Growth, decided: Sequence[Decision]) -> list[str]:
    """What to know before anything above is believed."""
    projection = growth.projection
    span = human_duration(projection.span * 86_400)
    lines = [
        f"{projection.points} points over {span}; 95 of 100 times the truth lies in the band"
        f"{f' ({growth.label}: it is wide, and rests on little)' if growth.label else ''}"
    ]
    if growth.marked:
        many = "1 jump was" if len(growth.marked) == 1 else f"{len(growth.marked)} jumps were"
        lines.append(f"{many} taken for rare events of their own, not for daily growth")
    if any(decision.far for decision in decided):
        lines.append("? is further ahead than twice the history reaches back: read it as a guess")
    return lines


def amount(value: float, unit: str) -> str:
    """A value in its unit, for people."""
    return human_duration(value) if unit == "seconds" else human_size(round(value))


def _curve_row(curve: Curve) -> Cells:
    cells: list[object] = [curve.name, amount(curve.now, curve.unit)]
    for days in (SOON, LATER):
        band = curve.in_days(days)
        low, middle, high = (amount(v, curve.unit) for v in (band.low, band.middle, band.high))
        cells += [middle, f"{low} to {high}"]
    return tuple(cells)


def _curve_document(growth: Growth, curve: Curve) -> Document:
    return {
        "name": curve.name,
        "unit": curve.unit,
        "now": finite(curve.now),
        "bands": [
            {
                "at": zulu(growth.date(band.ahead)),
                "low": finite(band.low),
                "middle": finite(band.middle),
                "high": finite(band.high),
            }
            for band in curve.bands
        ],
    }


def _decision_document(decision: Decision) -> Document:
    when = decision.due
    dates = {
        name: zulu(at) if when and (at := getattr(when, name)) else None
        for name in ("earliest", "expected", "latest")
    }
    return {
        "what": decision.what,
        "answer": decision.answer,
        "to_do": decision.to_do or None,
        "passed": when.passed if when else None,
        **dates,
        "far": decision.far,
    }


def _line(line: Line | None) -> Document | None:
    return None if line is None else {"fixed": line.fixed, "per_database_byte": line.slope}


def _seconds(value: float | None) -> str | None:
    return None if value is None else human_duration(value)
