"""What systemd and cron are told: the text of units and of a crontab's block. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from archon_ops.model.schedule import Entry

WHAT = {
    "backup": "backup",
    "offsite": "push of copies elsewhere",
    "verify": "verification by a restore into a sandbox",
    "drill": "recovery drill with evidence",
    "alert": "look for what is wrong",
    "pitr-full": "full backup of the whole cluster",
    "pitr-incr": "incremental backup of the whole cluster",
}
_COMMANDS = {
    "backup": ("backup",),
    "offsite": ("offsite.push", "--backup", "all"),
    "verify": ("verify", "latest", "--restore"),
    "drill": ("drill",),
    "alert": ("alert",),
    "pitr-full": ("pitr.backup", "--type", "full", "--repository", "all"),
    "pitr-incr": ("pitr.backup", "--type", "incr", "--repository", "all"),
}
# Done, though not everything could be proven; an alert that told of a level did its work too.
_SUCCESS = {"verify": "5", "drill": "5", "alert": "6 7", "pitr-full": "5", "pitr-incr": "5"}


@dataclass(frozen=True)
class Job:
    """Something that is to be done by itself.

    Attributes:
        name: one of `model.schedule.DEFAULTS`.
        entry: when.
        source: on which source.
        root: folder that the settings belong to.
        program: absolute path of archon-ops.
        zone: in which the entry is meant; empty: the machine's.
    """

    name: str
    entry: Entry
    source: str
    root: str
    program: str
    zone: str

    @property
    def argv(self) -> tuple[str, ...]:
        """The command."""
        return (self.program, *_COMMANDS[self.name], "--source", self.source)

    @property
    def unit(self) -> str:
        """Name of its units, without what stands behind the dot."""
        return f"archon-ops-{self.source}-{self.name}"


def units(job: Job, *, system: bool) -> dict[str, str]:
    """File name -> text of the timer and the service of a job.

    Args:
        job: what is to be done.
        system: whether for the whole machine, not for one user.
    """
    return {
        f"{job.unit}.service": _sealed(_service(job, system=system), job.root),
        f"{job.unit}.timer": _sealed(_timer(job), job.root),
    }


def is_ours(text: str, root: str) -> bool:
    """Whether a unit's text is as it was written for this root: nobody changed it since."""
    return text == _sealed(text.partition("\n")[2], root)


def _service(job: Job, *, system: bool) -> str:
    network = "Wants=network-online.target\nAfter=network-online.target docker.service\n"
    success = f"SuccessExitStatus={_SUCCESS[job.name]}\n" if job.name in _SUCCESS else ""
    return f"""[Unit]
Description=Archon: {WHAT[job.name]} of source {job.source}
{network if system else ""}
[Service]
Type=oneshot
WorkingDirectory={_specifiers(job.root)}
ExecStart={" ".join(map(_word, job.argv))}
{success}UMask=0077
Nice=10
"""


def _timer(job: Job) -> str:
    """Persistent: what was missed while the machine was off is done once it is back."""
    often = job.entry.minutes is not None
    zone = f" {job.zone}" if job.zone else ""
    return f"""[Unit]
Description=Archon: {WHAT[job.name]} of source {job.source}, {job.entry}

[Timer]
OnCalendar={job.entry.on_calendar}{zone}
Persistent={"false" if often else "true"}
RandomizedDelaySec={"10s" if often else "5min"}
AccuracySec={"10s" if often else "1min"}

[Install]
WantedBy=timers.target
"""


def _sealed(text: str, root: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"# written by inv schedule.install in {root}, sum {digest}\n{text}"


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """A word of a command line as systemd reads it; no shell ever does, and no quote is in it."""
    return _specifiers(f'"{text}"' if " " in text else text)
