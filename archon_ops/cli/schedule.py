"""What is done by itself: shown, installed, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archon_ops.cli.command import Run, command
from archon_ops.errors import ExitCode

if TYPE_CHECKING:
    from archon_ops.actions.scheduling.choose import Scheduler
    from archon_ops.site import Site

_WITH = "systemd (the machine's), systemd-user or cron; without it: what there is"


@command(default=True)
def show(run: Run) -> None:
    """Show what is done when, by what, and when next."""
    _show(run)


def _show(run: Run) -> None:
    from archon_ops.actions.scheduling.choose import installed
    from archon_ops.actions.scheduling.jobs import jobs, machine_zone, zone_of
    from archon_ops.cli.shared import site_of
    from archon_ops.model.units import zulu

    site = site_of(run)
    states = {made.name: made.state() for made in installed(site)}
    now = site.clock()
    zone = zone_of(site.settings.schedule.zone)
    zone_name = site.settings.schedule.zone or machine_zone() or str(zone)
    entries = []
    for job in jobs(site):
        following = job.entry.next_after(now, zone)
        by = {way: state[job.name] for way, state in states.items()}
        entries.append((job, following, {k: v for k, v in by.items() if v != "missing"}))
    if run.options.json:
        run.console.json(
            {
                "source": site.name,
                "zone": zone_name,
                "jobs": [
                    {"job": job.name, "when": str(job.entry), "next": at, "installed": by}
                    for job, at, by in entries
                ],
            }
        )
        return
    rows = [
        (
            job.name,
            str(job.entry),
            f"{at.astimezone(zone):%a %Y-%m-%d %H:%M}" if by else None,
            zulu(at) if by else None,
            ", ".join(f"{way}: {state}" for way, state in by.items()) or "not installed",
        )
        for job, at, by in entries
    ]
    run.console.table(
        f"Schedule of {site.name}, times in {zone_name}",
        ("job", "when", "next", "next (UTC)", "by"),
        rows,
    )
    if not states:
        run.console.info("nothing is done by itself: inv schedule.install")
    if not site.settings.offsite:
        run.console.info("no copies are pushed: no place offsite is configured")


@command(help={"with_": _WITH})
def install(run: Run, with_: str | None = None, dry_run: bool = False) -> None:
    """Install timers, or a block in the crontab; run again, it changes what differs."""
    from archon_ops.actions.scheduling.choose import installed, refuse_second, scheduler
    from archon_ops.cli.shared import site_of

    site = site_of(run)
    chosen = scheduler(site, with_)
    if dry_run:
        _print_files(run, site, chosen)
        return
    refuse_second(chosen, installed(site))
    changed = chosen.install()
    for path in changed:
        run.console.ok(f"written: {path}")
    if not changed:
        run.console.ok("everything is as it should be")
    if chosen.name == "systemd-user" and not getattr(chosen, "lingers", bool)():
        run.console.warn(
            "your timers stop when you log out: loginctl enable-linger keeps them running"
        )
    if run.options.json:
        run.console.json({"source": site.name, "by": chosen.name, "changed": changed})
    else:
        _show(run)


@command()
def remove(run: Run, dry_run: bool = False) -> None:
    """Remove what was installed for the source, and nothing else."""
    from archon_ops.actions.scheduling.choose import installed
    from archon_ops.cli.shared import site_of

    site = site_of(run)
    found = installed(site)
    removed: list[str] = []
    for chosen in found:
        if dry_run:
            _print_files(run, site, chosen)
        else:
            removed.extend(chosen.remove())
    for path in removed:
        run.console.ok(f"removed from {path}" if path == "crontab" else f"removed: {path}")
    if not found:
        run.console.info("nothing is installed")
    if run.options.json and not (dry_run and found):
        run.console.json({"source": site.name, "removed": removed})


@command(
    name="run",
    positional="job",
    json=False,
    help={
        "job": "as inv schedule lists them",
        "log": "file, rotated at 1 MB",
    },
)
def run_(run: Run, job: str, log: str) -> ExitCode | int:
    """Run one job as cron does: never two at once, what it says into a rotated log."""
    from pathlib import Path

    from archon_ops.actions.scheduling import running
    from archon_ops.actions.scheduling.jobs import jobs
    from archon_ops.cli.shared import site_of

    site = site_of(run)
    chosen = next((known for known in jobs(site) if known.name == job), None)
    return running.run(chosen, job, Path(log).absolute())


def _print_files(run: Run, site: Site, chosen: Scheduler) -> None:
    """What would be written, or removed."""
    files = chosen.files()
    if run.options.json:
        run.console.json({"source": site.name, "dry_run": True, "by": chosen.name, "files": files})
        return
    for path, text in files.items():
        run.console.data(f"--- {path}\n{text}\n")
