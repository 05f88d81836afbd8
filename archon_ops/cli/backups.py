"""Taking, listing, checking and pruning backups."""

from __future__ import annotations

from archon_ops.cli.command import Run, command
from archon_ops.errors import ExitCode

_EXCLUDE = {
    "exclude_schema": "leave a schema out, and name it as not covered",
    "exclude_table": "leave a table out (schema.table), and name it as not covered",
}


@command(
    help={
        "backup_dir": "where to write it, and which directory's backups to prune",
        "retention": "keep the last N backups after this one",
        "label": "why it is taken (before-migration); part of its name, counted apart",
        "allow_empty": "back up even a database without Archon rows",
        "offsite": "push it to all places offsite of the settings afterwards",
        **_EXCLUDE,
    }
)
def backup(
    run: Run,
    backup_dir: str | None = None,
    retention: int | None = None,
    label: str | None = None,
    exclude_schema: tuple[str, ...] = (),
    exclude_table: tuple[str, ...] = (),
    allow_empty: bool = False,
    offsite: bool = False,
    dry_run: bool = False,
) -> None:
    """Take a backup that carries proof of its content, then apply retention."""
    from archon_ops.actions import backup as action
    from archon_ops.actions.offsite.places import destinations
    from archon_ops.actions.offsite.push import after_backup
    from archon_ops.cli.shared import site_of
    from archon_ops.model.documents import entry_document
    from archon_ops.model.units import human_size

    site = site_of(run, backup_dir)
    request = action.Request(label, retention, exclude_schema, exclude_table, allow_empty)
    run.console.banner("Archon Database Backup", site.display_name)
    if offsite:
        destinations(site)  # that there is none is told before anything is dumped
    if dry_run:
        ready = action.plan(site, request)
        document = {
            "source": site.name,
            "dry_run": True,
            "directory": site.directory.path,
            "database": site.database,
            "server_version": ready.version,
            "archon_tables": ready.archon_tables,
            "expected_bytes": ready.expected_bytes,
            "free_bytes": ready.free_bytes,
            "not_covered": ready.scope.names,
        }
        if run.options.json:
            run.console.json(document)
        else:
            run.console.data(
                f"A backup of {site.database} would be written to {site.directory.path}, about "
                f"{human_size(ready.expected_bytes)}; nothing was written.\n"
            )
        return
    taken = action.backup(site, request)
    run.console.phase("backup.summary", "Backup Summary")
    run.console.info(f"Latest backup: {taken.backup.name} ({human_size(taken.backup.size_bytes)})")
    run.console.info(f"Total backups: {taken.total}")
    run.console.info(f"Backup directory: {site.directory.path}")
    run.console.banner("Backup Completed Successfully", site.display_name)
    arrived = after_backup(site, taken.backup.name, asked=offsite)
    if run.options.json:
        location = str(site.directory.path)
        run.console.json(
            {
                "source": site.name,
                **entry_document(taken.backup, location, site.clock()),
                "path": taken.path,
                "seconds": round(taken.seconds, 3),
                "removed": taken.pruned.removed,
                "count": taken.total,
                "offsite": [place.destination.shown for place in arrived],
            }
        )


@command(help={"backup_dir": "another directory than the source's"})
def backups(run: Run, backup_dir: str | None = None) -> None:
    """List the backups of the source, newest first."""
    from archon_ops.actions.status import require_made
    from archon_ops.cli.shared import counted, site_of, snapshot_of
    from archon_ops.cli.state import warnings
    from archon_ops.model.units import human_size, zulu
    from archon_ops.monitor.history import BACKUP_COLUMNS, backup_rows
    from archon_ops.monitor.pitr import COLUMNS
    from archon_ops.monitor.pitr import rows as pitr_rows

    site = site_of(run, backup_dir)
    require_made(site)
    found = snapshot_of(site)
    if run.options.json:
        run.console.json(found.listing)
        return
    rows = backup_rows(found)
    run.console.table(f"Backups of {site.name} in {found.location}", BACKUP_COLUMNS, rows)
    if found.pitr:
        title = f"Point-in-time backups of {site.name}, as of {zulu(found.pitr.at)}"
        run.console.table(title, COLUMNS, pitr_rows(found.pitr, found.taken_at))
    for line in warnings(found):
        run.console.warn(line)
    total = human_size(sum(b.size_bytes for b in found.catalog.backups))
    run.console.info(f"{counted(len(rows))}, {total}" if rows else "no backups: inv backup")


@command(
    help={
        "backup_dir": "another directory than the source's",
        "fail_on": "aging, outdated, critical or missing: exit 6 (aging) or 7 from there on",
    }
)
def status(run: Run, backup_dir: str | None = None, fail_on: str | None = None) -> ExitCode:
    """Say how old, how sound and how many the backups of the source are."""
    from archon_ops.actions.status import require_made
    from archon_ops.cli.shared import site_of, snapshot_of
    from archon_ops.cli.state import status_rows
    from archon_ops.model import health

    level = health.parse_level(fail_on) if fail_on else None
    site = site_of(run, backup_dir)
    require_made(site)
    found = snapshot_of(site)
    if run.options.json:
        run.console.json(found.status)
    else:
        title = f"Backup status of {site.display_name} ({site.name})"
        run.console.table(title, ("what", "value"), status_rows(found))
    return health.exit_code(found.health.level, level)
