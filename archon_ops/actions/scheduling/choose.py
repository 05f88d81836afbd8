"""By what the jobs are done: systemd for the machine or the user, or cron."""

from __future__ import annotations

import os
from shutil import which

from archon_ops.actions.scheduling.cron import Cron
from archon_ops.actions.scheduling.jobs import jobs
from archon_ops.actions.scheduling.systemd import Systemd, booted
from archon_ops.errors import OpsError, PreconditionError, UsageError
from archon_ops.site import Site

WAYS = ("systemd", "systemd-user", "cron")
Scheduler = Systemd | Cron


def scheduler(site: Site, way: str | None) -> Scheduler:
    """What does the jobs.

    Args:
        site: whose jobs.
        way: one of WAYS; None: systemd where it runs (root's: the machine's), else cron.

    Raises:
        UsageError: there is no such way.
    """
    if way is not None and way not in WAYS:
        raise UsageError(f"--with {way!r} is not known", f"one of: {', '.join(WAYS)}")
    usual = ("systemd" if os.geteuid() == 0 else "systemd-user") if booted() else "cron"
    return _made(site, way or usual)


def refuse_second(chosen: Scheduler, there: tuple[Scheduler, ...]) -> None:
    """What is done by two schedulers would be done twice.

    Raises:
        PreconditionError: another one does the jobs already.
    """
    other = next((made for made in there if made.name != chosen.name), None)
    if other is not None:
        raise PreconditionError(
            f"the jobs are installed already, with {other.name}", "inv schedule.remove"
        )


def installed(site: Site) -> tuple[Scheduler, ...]:
    """Those that have a job of this source, each asked."""
    found = []
    for way in WAYS:
        made = _made(site, way)
        if way == "cron" and which("crontab") is None:
            continue
        try:
            if set(made.state().values()) != {"missing"}:
                found.append(made)
        except OpsError as error:
            site.report.warn(f"{way} cannot be asked: {error.message}")
    return tuple(found)


def _made(site: Site, way: str) -> Scheduler:
    chosen = jobs(site)
    if way == "cron":
        log = site.settings.state / "logs" / f"schedule-{site.name}.log"
        return Cron(chosen, str(log))
    return Systemd(chosen, jobs(site, every=True), system=way == "systemd")
