"""Which jobs there are, and when: as the settings say, else as the handbook does."""

from __future__ import annotations

import os
import sys
from datetime import datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from archon_ops.errors import PreconditionError, UsageError
from archon_ops.model.schedule import DEFAULTS, PITR, Entry, parse
from archon_ops.model.timers import Job
from archon_ops.site import Site

_ZONES = "/zoneinfo/"
# What systemd does not take in the path of a program, however it is written.
_SPECIAL = set("\"'\\$")


def jobs(site: Site, *, every: bool = False) -> tuple[Job, ...]:
    """The jobs of a source: of copies and whole clusters only where there is a place for them.

    Args:
        site: whose jobs.
        every: those that are not wanted, too.

    Raises:
        PreconditionError: the program cannot be found, or a path cannot stand in a unit.
    """
    program = Path(sys.executable).with_name("archon-ops")
    if not program.is_file():
        raise PreconditionError(f"{program} is missing", "install the package: pip install -e .")
    root = str(site.settings.root)
    for path in (root, str(program)):
        if not path.isprintable() or set(path) & _SPECIAL:
            raise PreconditionError(f"{path!a} cannot stand in a schedule", "rename that folder")
    zone = site.settings.schedule.zone
    zone_of(zone)
    names = [name for name in DEFAULTS if every or _applies(site, name)]
    return tuple(
        Job(name, entry(site, name), site.name, root, str(program), zone) for name in names
    )


def entry(site: Site, name: str) -> Entry:
    """When a job is to be done."""
    given: Entry | None = getattr(site.settings.schedule, name.replace("-", "_"))
    return given or parse(DEFAULTS[name])


def _applies(site: Site, name: str) -> bool:
    """Whether the source has what a job is about."""
    if name == "offsite":
        return bool(site.settings.offsite)
    if name in PITR:
        return site.source.kind != "embedded" and bool(site.source.pitr.repositories)
    return True


def zone_of(name: str) -> tzinfo:
    """A time zone by its name; the machine's own for an empty one.

    Raises:
        UsageError: there is no such zone.
    """
    own = name or machine_zone()
    if not own:
        return datetime.now().astimezone().tzinfo or ZoneInfo("UTC")
    try:
        return ZoneInfo(own)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(
            f"schedule.zone: unknown time zone {name!r}", "for example Europe/Sofia"
        ) from error


def machine_zone() -> str:
    """The name of the machine's time zone; empty where it cannot be told."""
    path = os.path.realpath("/etc/localtime")
    return path.partition(_ZONES)[2]
