"""Archon's own services."""

from __future__ import annotations

from archon_ops.cli.command import Run, command
from archon_ops.errors import ExitCode


@command(help={"skip_backup": "start without the backup that BACKUP_ON_START asks for"})
def start(run: Run, skip_backup: bool = False) -> ExitCode:
    """Start Archon's services, with a backup first where BACKUP_ON_START asks for it."""
    from archon_ops.actions import services as action
    from archon_ops.cli.shared import site_of

    site = site_of(run)
    run.console.banner("Starting Archon", site.display_name)
    done = action.start(site, skip_backup=skip_backup)
    if run.options.json:
        run.console.json({"source": site.name, "backup": done.backup, "services": done.services})
    return done.exit_code


@command()
def stop(run: Run) -> ExitCode:
    """Stop Archon's services; the database stays."""
    from archon_ops.actions import services as action
    from archon_ops.cli.shared import site_of

    site = site_of(run)
    run.console.banner("Stopping Archon", site.display_name)
    done = action.stop(site)
    if run.options.json:
        run.console.json({"source": site.name, "services": done.services})
    return done.exit_code
