"""Finding out what is wrong, and what is left to do."""

from __future__ import annotations

from archon_ops.cli.command import Run, command
from archon_ops.errors import ExitCode


@command(
    help={
        "fix": "make the backup directory and close it to others; nothing else is changed",
        "report": "also write everything that helps to this file, secrets masked",
        "backup_dir": "another directory than the source's",
    }
)
def doctor(
    run: Run, fix: bool = False, report: str | None = None, backup_dir: str | None = None
) -> ExitCode:
    """Look for what is wrong, why, and the command that mends it; exit 3 if no backup can run."""
    from pathlib import Path

    from archon_ops.actions import bundle
    from archon_ops.actions.doctor.examine import examine
    from archon_ops.actions.doctor.mending import mend
    from archon_ops.cli.diagnosis import as_text
    from archon_ops.cli.shared import site_of

    site = site_of(run, backup_dir)
    path = Path(report).expanduser().absolute() if report is not None else None
    if path is not None:
        bundle.require_free(path)
    mended = mend(site) if fix else ()
    seen = examine(site)
    diagnosis = seen.diagnosis(mended)
    if path is not None:
        bundle.write(path, seen, diagnosis)
        run.console.info(f"written to {path}; read it before you hand it on")
    if run.options.json:
        run.console.json({**diagnosis.document(), "report": path})
    else:
        run.console.data(as_text(diagnosis, everything=run.options.verbose))
    return diagnosis.exit_code


@command(
    help={"phase": "before, during, after, daily, weekly, monthly, practice; all by default"},
)
def checklist(run: Run, phase: str | None = None) -> None:
    """The checklists around a backup and over time, ticked as far as that can be known."""
    from archon_ops.actions.checklist import checklist as action
    from archon_ops.cli.diagnosis import boxes_as_text
    from archon_ops.cli.shared import site_of
    from archon_ops.model.checklist import Phase, parse_phase

    phases = tuple(Phase) if phase is None else (parse_phase(phase),)
    site = site_of(run)
    found = action(site, phases)
    every = [box for boxes in found.values() for box in boxes]
    ticked = sum(box.ticked for box in every)
    if run.options.json:
        run.console.json(
            {
                "source": site.name,
                "checked_at": site.clock(),
                "ticked": ticked,
                "open": len(every) - ticked,
                "phases": [
                    {"phase": name, "title": name.heading, "boxes": boxes}
                    for name, boxes in found.items()
                ],
            }
        )
        return
    run.console.data(boxes_as_text(found))
    run.console.info(f"source {site.name}: {ticked} of {len(every)} boxes are ticked")
