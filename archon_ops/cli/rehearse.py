"""Trying a migration out before it counts."""

from __future__ import annotations

from archon_ops.cli.command import Run, command
from archon_ops.errors import ExitCode, OpsError


@command(
    positional="migration_file",
    help={
        "migration_file": "a file of SQL",
        "then": "another file to run after it",
        "backup_dir": "another directory than the source's",
    },
)
def rehearse(
    run: Run, migration_file: str, then: tuple[str, ...] = (), backup_dir: str | None = None
) -> ExitCode:
    """Run a migration on a sandbox made of the newest trustworthy backup."""
    from pathlib import Path

    from archon_ops.actions import rehearse as action
    from archon_ops.actions.status import require_made
    from archon_ops.cli.shared import site_of

    files = tuple(Path(name).expanduser().absolute() for name in (migration_file, *then))
    action.read_scripts(files)  # what makes no sense is told before anything is made
    site = site_of(run, backup_dir)
    require_made(site)
    run.console.banner("Migration Rehearsal", site.display_name)
    done = action.rehearse(site, files)
    if run.options.json:
        run.console.json({"source": site.name, **done.document()})
    else:
        run.console.data(f"{done.text()}\n")
    if not done.passed:
        raise OpsError(done.problem, "production was not touched; mend the file, rehearse again")
    run.console.ok("it runs; production was not touched")
    return ExitCode.DONE
