"""Bringing single rows back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archon_ops.cli.command import Run, command
from archon_ops.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from archon_ops.actions.rescue import Diff, Rescued
    from archon_ops.model.rescue import RescuePlan


@command(
    positional="backup_file",
    help={
        "backup_file": "latest, a name, or a path",
        "table": "the table whose rows come back; in public, or SCHEMA.TABLE",
        "where": "which rows of the backup, one SQL expression: \"status = 'done'\"",
        "changed": "bring rows that changed since back too, not only those that are missing",
        "plan": "carry out a plan that was written before; rows may have been left out of it",
        "trust": "accept another server's backup: its rows come into this Archon",
        "diff": "compare all of Archon with the backup, and change nothing",
        "backup_dir": "another directory than the source's",
    },
)
def rescue(
    run: Run,
    backup_file: str,
    table: str | None = None,
    where: str | None = None,
    changed: bool = False,
    plan: str | None = None,
    diff: bool = False,
    trust: bool = False,
    backup_dir: str | None = None,
    dry_run: bool = False,
    yes: bool = False,
) -> ExitCode:
    """Bring deleted rows back, with what they need, and touch no other."""
    from pathlib import Path

    from archon_ops.actions import rescue as action
    from archon_ops.actions.status import require_made
    from archon_ops.cli.shared import site_of

    _refuse_contradictions(backup_file, table, plan, diff, any((where, changed)), dry_run)
    site = site_of(run, backup_dir)
    if "/" not in backup_file:
        require_made(site)
    run.console.banner("Archon Row Rescue", site.display_name)
    if diff:
        _print_diff(run, site.name, action.differences(site, backup_file))
        return ExitCode.DONE
    request = action.Request(backup_file, table or "", where, changed, trust)
    if dry_run:
        made = action.plan(site, request)
        print_counts(run, made)
        if run.options.json:
            run.console.json({"source": site.name, "dry_run": True, "plan": made.document()})
        else:
            run.console.data(f"{made.text()}\n")
        return ExitCode.DONE

    def confirm(planned: RescuePlan) -> None:
        print_counts(run, planned)
        if planned.rows:
            run.console.confirm(planned.target, planned.text())
        else:
            run.console.say(planned.text())

    if plan is None:
        done = action.rescue(site, request, confirm)
    else:
        made = action.read_plan(site, Path(plan).expanduser().absolute())
        done = action.apply(site, made, confirm, reference=backup_file)
    print_done(run, done)
    if run.options.json:
        run.console.json(
            {
                "source": site.name,
                "plan": done.plan.document(),
                "proof": done.proof.document(),
                "seconds": round(done.seconds, 3),
            }
        )
    return done.exit_code


def _refuse_contradictions(
    backup_file: str, table: str | None, plan: str | None, diff: bool, choosing: bool, dry_run: bool
) -> None:
    if diff and (table or choosing or plan or dry_run):
        raise UsageError("--diff compares all of Archon, and takes none of the other flags")
    if plan is not None and (table or choosing or dry_run):
        raise UsageError(
            "--plan says itself what is done: it takes no --table, --where, --dry-run",
            "without --yes it shows what it would do, and asks",
        )
    if not (diff or plan or table):
        raise UsageError(
            "rescue needs --table, --plan or --diff",
            f"what differs: inv rescue {backup_file} --diff",
        )


def _print_diff(run: Run, source: str, found: Diff) -> None:
    from archon_ops.model.units import zulu

    if run.options.json:
        run.console.json({"source": source, **found.document()})
    rows = [
        (t.table, t.rows_backup, t.rows_live, t.missing, t.changed, t.only_live, t.note or None)
        for t in found.tables
    ]
    run.console.table(
        f"{source}: live database against {found.backup} ({zulu(found.snapshot_at)})",
        ("table", "backup", "live", "missing", "changed", "only live", "note"),
        rows,
    )


def print_counts(run: Run, planned: RescuePlan) -> None:
    """Which rows come back, for people."""
    from archon_ops.model.rescue import Reason

    run.console.table(
        f"{planned.source}: rows of {planned.backup}, and which come back",
        ("table", "missing", "changed", "only live", *(f"back: {r.value}" for r in Reason)),
        planned.table_rows(),
    )


def print_done(run: Run, done: Rescued) -> None:
    """What came of a rescue, for people."""
    from archon_ops.model.units import human_duration

    for one in done.proof.tables:
        others = one.rows_after - one.inserted - one.updated
        run.console.ok(
            f"{one.table}: {one.inserted} rows inserted, {one.updated} set back, all equal to the "
            f"backup's; the other {others} are what they were"
        )
    if not done.proof.tables:
        run.console.ok("nothing to bring back")
    for note in (*done.plan.notes, *(f"not proven: {n}" for n in done.proof.not_proven)):
        run.console.warn(note)
    run.console.info(f"took {human_duration(done.seconds)}")
