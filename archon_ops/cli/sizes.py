"""How large everything is, and where that is heading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archon_ops.cli.command import Run, command

if TYPE_CHECKING:
    from archon_ops.actions.audit import Audited
    from archon_ops.actions.growth import Outlook
    from archon_ops.model.calibration import Calibration
    from archon_ops.site import Site


@command(
    help={
        "backup_dir": "another directory than the source's",
        "csv": "also write one line a table to this file",
        "save": "keep the sizes as a point of the growth curve, as each backup does",
        "exact": "count rows; reads Archon's tables whole",
    }
)
def size_audit(
    run: Run,
    backup_dir: str | None = None,
    csv: str | None = None,
    save: bool = False,
    exact: bool = False,
) -> None:
    """What takes how much room, how that changed, and what could be had back."""
    from pathlib import Path

    from archon_ops.actions import audit as action
    from archon_ops.cli.shared import site_of
    from archon_ops.model import sizing
    from archon_ops.storage import spreadsheet

    site = site_of(run, backup_dir)
    path = Path(csv).expanduser().absolute() if csv is not None else None
    if path is not None:
        spreadsheet.require_free(path, "--csv")
    found = action.audit(site, exact=exact, save=save)
    if path is not None:
        rows = sizing.csv_rows(found.audit)
        spreadsheet.write(path, sizing.CSV_COLUMNS, rows, site.run_id)
        run.console.info(f"written to {path}")
    notes = found.history.notes
    if run.options.json:
        document = sizing.audit_document(site.name, found.audit, found.changes, found.backup, notes)
        run.console.json(document)
        return
    _print(run, site.name, found)
    for note in (*found.audit.notes, *notes):
        run.console.warn(note)


def _print(run: Run, source: str, found: Audited) -> None:
    """The tables of an audit, one under the other."""
    from archon_ops.model import sizing

    audit, everything = found.audit, run.options.verbose
    title = f"Sizes of {source}, database {audit.database}"
    run.console.table(title, sizing.TABLE_COLUMNS, sizing.table_rows(audit))
    which = "" if everything else " that matter (--verbose lists all)"
    for name, columns, rows in (
        (
            "The whole database",
            ("part", "bytes", "share", "what"),
            sizing.whole_rows(audit, found.backup, found.ratio),
        ),
        (
            "Embeddings",
            ("column", "dimension", "rows", "bytes", "from"),
            sizing.vector_rows(audit),
        ),
        (
            f"Indexes{which}",
            ("index", "table", "kind", "bytes", f"use {sizing.since(audit)}"),
            sizing.index_rows(audit, everything=everything),
        ),
        (
            "Change",
            ("over", "since", "database", "Archon", "most of it"),
            sizing.change_rows(found.changes),
        ),
        (
            "What could be had back (nothing is done by itself)",
            ("what", "where", "bytes", "note"),
            sizing.saving_rows(audit),
        ),
    ):
        if rows:
            run.console.data("\n")
            run.console.table(name, columns, rows)


@command(
    help={
        "backup_dir": "another directory than the source's",
        "calibrate": "measure backup and restore on synthetic databases in a sandbox first",
        "up_to": "how large the largest of these may be (256MB)",
    }
)
def growth(
    run: Run, backup_dir: str | None = None, calibrate: bool = False, up_to: str = ""
) -> None:
    """Where sizes and times are heading, from this source's own history, and what falls due."""
    from archon_ops.actions.growth import outlook
    from archon_ops.cli.shared import site_of
    from archon_ops.errors import UsageError
    from archon_ops.model.outlook import growth_document

    site = site_of(run, backup_dir)
    if up_to and not calibrate:
        raise UsageError("--up-to means nothing without --calibrate")
    trials = _calibrate(run, site, up_to) if calibrate else None
    found = outlook(site)
    if run.options.json:
        document = growth_document(
            site.name, found.growth, found.history, found.table, found.decisions
        )
        run.console.json({**document, "calibration": trials})
        return
    _print_growth(run, site.name, found)


def _calibrate(run: Run, site: Site, up_to: str) -> Calibration:
    """Measure, keep what was measured, and print it."""
    from archon_ops.bench import calibrate
    from archon_ops.model.outlook import TRIAL_COLUMNS, trial_rows
    from archon_ops.model.units import parse_size
    from archon_ops.storage import calibrations
    from archon_ops.storage.lock import Lock

    most = parse_size(up_to) if up_to else calibrate.MOST_BYTES
    site.directory.prepare()
    found = calibrate.calibrate(site, most)
    with Lock(site.directory, "calibrate", site.settings.deadlines.lock):
        calibrations.write(site.directory, found, site.run_id)
    run.console.table(f"Calibration of {site.name}", TRIAL_COLUMNS, trial_rows(found))
    for line in found.left_out:
        run.console.warn(f"not in the synthetic databases: {line}")
    if not run.options.json:
        run.console.data("\n")
    return found


def _print_growth(run: Run, source: str, found: Outlook) -> None:
    """The tables of a projection, one under the other."""
    from archon_ops.model import outlook

    growth, show = found.growth, run.console.table
    title = f"Growth of {source}{f' ({growth.label})' if growth.label else ''}"
    show(title, outlook.CURVE_COLUMNS, outlook.curve_rows(growth))
    for name, columns, rows in (
        ("Jumps and shrinks", ("seen", "database"), outlook.jump_rows(growth)),
        (
            f"The document's table, beside what holds here ({growth.rates.basis})",
            outlook.table_columns(growth.kept),
            outlook.table_rows(found.table),
        ),
        ("Decisions", outlook.DECISION_COLUMNS, outlook.decision_rows(found.decisions)),
    ):
        if rows:
            run.console.data("\n")
            show(name, columns, rows)
    for line in outlook.told(growth, found.decisions):
        run.console.info(line)
    for note in found.history.notes:
        run.console.warn(note)
