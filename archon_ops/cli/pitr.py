"""Point-in-time recovery: the whole cluster and its WAL, with pgBackRest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archon_ops.cli.command import Run, command
from archon_ops.cli.pitr_moments import find, restore
from archon_ops.errors import ExitCode

if TYPE_CHECKING:
    from archon_ops.model.pitr.plan import SetupPlan

__all__ = ["backup", "find", "list_", "restore", "setup", "verify"]


@command(
    help={
        "replace": "give up another way in which the server archives its WAL",
        "upgrade": "let the stanza follow an upgrade of the server",
    }
)
def setup(
    run: Run,
    replace: bool = False,
    upgrade: bool = False,
    dry_run: bool = False,
    yes: bool = False,
) -> None:
    """Configure pgBackRest and the server, or say what is lacking; restarts only what it names."""
    from archon_ops.actions.pitr import setup as action
    from archon_ops.cli.shared import site_of

    site = site_of(run)
    run.console.banner("Point-in-Time Recovery: Setup", site.display_name)
    if dry_run:
        planned = action.plan(site, replace=replace, upgrade=upgrade)
        if run.options.json:
            run.console.json({"source": site.name, "dry_run": True, "plan": planned.document()})
        else:
            run.console.data(f"{planned.text()}\n")
        return

    def confirm(planned: SetupPlan) -> None:
        run.console.confirm(planned.target, planned.text())

    done = action.setup(site, confirm, replace=replace, upgrade=upgrade)
    run.console.info("the first backup: inv pitr.backup --type full")
    if run.options.json:
        run.console.json({"source": site.name, "dry_run": False, "plan": done.document()})


@command(
    help={
        "type": "full, diff (since the last full one) or incr (since the last of any kind)",
        "repository": "number of the repository that it goes to, or all; without it: the first",
    }
)
def backup(run: Run, type: str = "incr", repository: str = "") -> ExitCode:
    """Back the whole cluster up, and prove what a named point right after it holds."""
    from archon_ops.actions.pitr import backup as action
    from archon_ops.cli.shared import site_of

    site = site_of(run)
    run.console.banner("Point-in-Time Recovery: Backup", site.display_name)
    if repository == "all":
        all_of_them = action.everywhere(site, type)
        if run.options.json:
            entries = [taken.document(site.clock()) for taken in all_of_them]
            run.console.json({"source": site.name, "backups": entries})
        return max(taken.exit_code for taken in all_of_them)
    taken = action.backup(site, type, action.number_of(site, repository))
    if run.options.json:
        run.console.json({"source": site.name, **taken.document(site.clock())})
    return taken.exit_code


@command(name="list")
def list_(run: Run) -> None:
    """List pgBackRest's backups, and the times that can be restored."""
    from archon_ops.actions.pitr.reach import reached
    from archon_ops.actions.pitr.watch import look
    from archon_ops.cli.shared import site_of
    from archon_ops.model.pitr.concerns import concern
    from archon_ops.monitor.pitr import COLUMNS, rows, window_text

    site = site_of(run)
    site.directory.prepare()
    with reached(site) as at:
        state = look(site, at)
    if run.options.json:
        run.console.json({"source": site.name, **state.document(site.clock())})
        return
    run.console.table(f"Point-in-time backups of {site.name}", COLUMNS, rows(state, site.clock()))
    if wrong := concern(state, site.clock(), site.settings.pitr_due(site.name)):
        run.console.warn(wrong.text)
    run.console.info(window_text(state))


@command()
def verify(run: Run) -> ExitCode:
    """Read every file of the repositories again; a damaged one is named."""
    from archon_ops.actions.pitr import verify as action
    from archon_ops.cli.shared import site_of

    site = site_of(run)
    outcome = action.verify(site)
    for line in outcome.problems:
        run.console.warn(line)
    if not outcome.problems:
        run.console.ok(f"{outcome.files} files of {len(outcome.backups)} backups are as written")
    if run.options.json:
        run.console.json(
            {
                "source": site.name,
                "passed": not outcome.problems,
                "problems": outcome.problems,
                "backups": outcome.backups,
                "files": outcome.files,
            }
        )
    return outcome.exit_code
