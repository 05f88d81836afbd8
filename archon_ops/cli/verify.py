"""Checking backups."""

from __future__ import annotations

from archon_ops.cli.command import Run, command
from archon_ops.errors import ExitCode


@command(
    positional="backup_file",
    help={
        "backup_file": "latest, all, a name, or a path",
        "restore": "also restore it into a sandbox and compare every row and object",
        "backup_dir": "another directory than the source's",
    },
)
def verify(
    run: Run, backup_file: str, restore: bool = False, backup_dir: str | None = None
) -> ExitCode:
    """Check that a backup is what was written; with --restore, that it restores equal."""
    from archon_ops.actions import verify as action
    from archon_ops.actions.status import require_made
    from archon_ops.cli.shared import site_of
    from archon_ops.model.units import human_duration

    site = site_of(run, backup_dir)
    if "/" not in backup_file:
        require_made(site)
    run.console.banner("Backup Verification", site.display_name)
    results = action.verify(site, backup_file, restore=restore)
    code = action.worst(results)
    if run.options.json:
        run.console.json(
            {
                "source": site.name,
                "passed": code == ExitCode.DONE,
                "backups": [
                    {
                        "filename": r.name,
                        "path": r.path,
                        "method": r.method,
                        "passed": r.passed,
                        "problems": r.problems,
                        "not_proven": r.not_proven,
                        "seconds": round(r.seconds, 3),
                        "proof": r.proof.document() if r.proof else None,
                    }
                    for r in results
                ],
            }
        )
        return code
    words = {ExitCode.DONE: "passed", ExitCode.INCONCLUSIVE: "INCONCLUSIVE"}
    rows = [
        (
            r.name,
            words.get(r.exit_code, "FAILED"),
            r.method,
            human_duration(r.seconds),
            "; ".join((*r.problems, *(f"not proven: {n}" for n in r.not_proven))) or "-",
        )
        for r in results
    ]
    run.console.table(
        f"Verification of {site.name}", ("name", "result", "method", "took", "findings"), rows
    )
    if refused := action.refusal(site, results):
        raise refused
    return code
