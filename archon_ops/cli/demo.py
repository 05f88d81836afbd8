"""See the main job on a PostgreSQL of our own."""

from __future__ import annotations

from archon_ops.cli.command import Run, command
from archon_ops.errors import ExitCode, UsageError


@command(
    help={
        "size": "size of the sample database (11MB, 400MB, 2GB)",
        "fresh": "make the sample database anew",
    }
)
def demo(run: Run, size: str = "11MB", fresh: bool = False) -> ExitCode:
    """Make a realistic Archon database and do the main job: back up, lose, restore, undo, drill."""
    from archon_ops.cli.command import Options
    from archon_ops.cli.shared import site_of
    from archon_ops.model.units import human_duration, human_size, parse_size
    from archon_ops.rig.demo import demo as action
    from archon_ops.runbook.keep import PAGE
    from archon_ops.runbook.run import run as drill

    if run.options.source not in (None, "demo"):
        raise UsageError(f"the demo works on source demo, not on {run.options.source!r}")
    options = Options(source="demo", json=run.options.json)
    site = site_of(Run(options, run.console))
    run.console.banner("Archon Demo", site.display_name)
    shown = action(site, parse_size(size), fresh=fresh)
    ran = drill(site.for_next_run(), "drill", trigger="inv demo")
    page = ran.folder / PAGE
    if run.options.json:
        run.console.json(
            {
                "source": site.name,
                "steps": [
                    {"step": s.name, "finding": s.finding, "seconds": round(s.seconds, 3)}
                    for s in shown.steps
                ],
                "backup": shown.backup,
                "rows": shown.rows,
                "database_bytes": shown.size_bytes,
                "seconds": round(shown.seconds, 3),
                "drill": {"verdict": ran.verdict.value, "page": page},
            }
        )
        return ran.verdict.exit_code
    run.console.table(
        "What was proven",
        ("step", "finding", "took"),
        [(s.name, s.finding, human_duration(s.seconds)) for s in shown.steps],
    )
    run.console.data(
        f"""
Database   {human_size(shown.size_bytes)}, {shown.rows} rows, in {site.cluster.folder}
Backup     {shown.backup}
Drill      {ran.verdict.value}, its evidence: {page}
By hand    {site.directory.path / "RESTORE.txt"}

Next       inv status --source demo
           inv backup --source demo --label before-migration
           inv psql --source demo --command "DELETE FROM archon_tasks"
           inv restore latest --source demo
           inv undo --source demo
           inv drill --source demo
"""
    )
    return ran.verdict.exit_code
