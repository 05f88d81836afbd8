"""One box of a checklist, and what it is ticked from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from archon_ops.model.backup import Backup
from archon_ops.model.catalog import Catalog
from archon_ops.model.diagnosis import Finding, Status, worst
from archon_ops.model.runs import Result, RunRecord
from archon_ops.model.units import human_duration, human_size, zulu

_MONTH = timedelta(days=31)
# A backup that is twice or half the one before deserves a look.
_FACTOR = 2.0


# Runs that bring a whole database back.
_RECOVERIES = ("restore", "drill", "recover")


@dataclass(frozen=True)
class Box:
    """One box of a checklist.

    Attributes:
        text: what is to be done, as the document has it.
        ticked: whether it is known to be done.
        why: what it was ticked from, or why it is open.
        to_do: the command to run, or what a person does; empty when it is ticked.
    """

    text: str
    ticked: bool
    why: str
    to_do: str = ""


@dataclass(frozen=True)
class Evidence:
    """What boxes are ticked from.

    Attributes:
        findings: the worst answer of every check of the doctor that was made.
        catalog: the backups.
        records: of the runs.
        now: UTC time.
        keep: how many backups retention keeps.
        inv: options of our commands (" --source demo").
        schedule: where a backup runs by itself; empty where none does.
        backup_on_start: whether Archon's start takes a backup first.
        versioned: whether git has the compose file; None where that is not known.
    """

    findings: Mapping[str, Finding]
    catalog: Catalog
    records: tuple[RunRecord, ...]
    now: datetime
    keep: int
    inv: str
    schedule: str = ""
    backup_on_start: bool = False
    versioned: bool | None = None

    def last(self, *actions: str) -> RunRecord | None:
        """The newest run of these actions."""
        runs = (record for record in self.records if record.action in actions)
        return max(runs, key=lambda r: (r.started_at, r.id), default=None)

    def proven_since(self, age: timedelta) -> Backup | None:
        """The newest backup that was restored and found equal within this age."""
        proven = (
            b for b in self.catalog.ordinary if b.restored_at and self.now - b.restored_at <= age
        )
        return next(proven, None)


def checked(known: Evidence, text: str, check: str, *also: str, to_do: str = "") -> Box:
    """A box that is ticked when a check was made and all of these are well.

    Args:
        known: what is known.
        text: of the box.
        check: the check that must have been made, and be in order.
        also: checks that keep it open when they are not well.
        to_do: what to do where the checks do not say it.
    """
    must = known.findings.get(check)
    made = [known.findings[name] for name in also if name in known.findings]
    bad = worst(f for f in made if not f.well) or must
    instead = to_do or f"inv doctor{known.inv}"
    if bad is None:
        return Box(text, False, "it was not looked at", instead)
    said = f"{bad.check}: {bad.found}"
    if bad.status is Status.OK:
        return Box(text, True, said)
    return Box(text, False, said, bad.mend or instead)


def by_hand(text: str, to_do: str, why: str = "only a person can tell") -> Box:
    """A box that nothing here can tick."""
    return Box(text, False, why, to_do)


def proven(known: Evidence, text: str, age: timedelta) -> Box:
    """A box that is ticked by a restore that was proven equal within this age."""
    backup = known.proven_since(age)
    if backup is not None and backup.restored_at is not None:
        when = zulu(backup.restored_at)
        return Box(text, True, f"{backup.name} was restored and found equal at {when}")
    why = f"no restore was proven equal in the last {human_duration(age.total_seconds())}"
    return Box(text, False, why, f"inv verify latest --restore{known.inv}")


def elsewhere(known: Evidence, text: str) -> Box:
    """A box for a copy on another machine, of which nothing is known here."""
    to_do = f"inv offsite.push --to PLACE{known.inv} (a URL, or a folder that another disk holds)"
    return by_hand(text, to_do, "what lies on other machines is not known here")


def archived(known: Evidence, text: str) -> Box:
    """A box that is ticked by a run that moved backups to an archive within a month."""
    for record in known.records:
        names = record.details.get("archived")
        if isinstance(names, list) and names and known.now - record.started_at <= _MONTH:
            return Box(text, True, f"run {record.id} moved {len(names)} backups")
    to_do = f"inv prune --archive-to FOLDER --older-than 7d{known.inv}"
    return by_hand(text, to_do, "no run moved backups in the last month")


def rehearsed(known: Evidence, text: str) -> Box:
    """A box that is ticked by a whole restore within a month; a verification is not enough."""
    done = (r for r in known.records if r.action in _RECOVERIES and _recovered(r))
    last = max(done, key=lambda r: (r.started_at, r.id), default=None)
    if last is not None and known.now - last.started_at <= _MONTH:
        return Box(text, True, f"{last.action} {last.id} went through")
    to_do = f"inv drill{known.inv}"
    return by_hand(text, to_do, "no restore was done in the last month")


def _recovered(run: RunRecord) -> bool:
    """Whether a run brought a database back; of runbooks only those that did, and proved it."""
    if run.result is not Result.DONE:
        return False
    details = run.details
    passed = details.get("verdict") == "PASS" and details.get("recovery_seconds") is not None
    return passed if run.action == "drill" else True


def retention(known: Evidence, text: str) -> Box:
    """A box that shows the policy and leaves it to a person."""
    count = len(known.catalog.ordinary)
    why = f"the last {known.keep} are kept, there are {count}"
    return by_hand(text, f"inv prune --dry-run{known.inv}", why)


def health(known: Evidence, text: str) -> Box:
    """A box that is ticked by a fresh and sound newest backup."""
    return checked(known, text, "backups.health", "backups.trust")


def progress(run: RunRecord, text: str) -> Box:
    """Whether the last backup told how far it was."""
    if run.result is Result.RUNNING:
        at = run.phases[-1].name if run.phases else "its begin"
        return Box(text, True, f"backup {run.id} (pid {run.pid}) is at {at}")
    took = f" in {human_duration(run.seconds)}" if run.seconds is not None else ""
    return Box(text, True, f"backup {run.id} went through {len(run.phases)} phases{took}")


def created(known: Evidence, run: RunRecord, text: str) -> Box:
    """Whether the last backup left its file."""
    name = run.details.get("backup")
    if isinstance(name, str) and known.catalog.find(name):
        return Box(text, True, f"{name}, of run {run.id}")
    why = f"backup {run.id} is {run.result.value} and left no file"
    return Box(text, False, why, f"inv backups{known.inv}")


def size(known: Evidence, text: str) -> Box:
    """Whether the last backup is about as large as the one before."""
    managed = [backup for backup in known.catalog.ordinary if backup.managed]
    if not managed:
        return Box(text, False, "there is no backup", f"inv backup{known.inv}")
    now = managed[0].size_bytes
    if len(managed) == 1:
        return by_hand(text, f"inv backups{known.inv}", f"{human_size(now)}, nothing to compare")
    before = managed[1].size_bytes
    why = f"{human_size(now)}, the one before {human_size(before)}"
    if before / _FACTOR <= now <= before * _FACTOR:
        return Box(text, True, why)
    return Box(text, False, why, f"inv backups{known.inv}; find out what came or went")


def no_errors(known: Evidence, run: RunRecord, text: str) -> Box:
    """Whether the last backup ended well."""
    if run.result is Result.DONE:
        return Box(text, True, f"backup {run.id} ended with exit code {run.exit_code}")
    said = f": {run.reason}" if run.reason else ""
    why = f"backup {run.id} is {run.result.value}{said}"
    return Box(text, False, why, run.hint or f"inv backup{known.inv}")


def exists(known: Evidence, latest: Backup | None, text: str) -> Box:
    """Whether the newest backup is there."""
    if latest is None:
        return Box(text, False, "there is none with a manifest", f"inv backup{known.inv}")
    return Box(text, True, f"{latest.name}, {human_size(latest.size_bytes)}")


def integrity(known: Evidence, latest: Backup | None, text: str) -> Box:
    """Whether the newest backup was read in full since."""
    if latest is None:
        return Box(text, False, "there is none with a manifest", f"inv backup{known.inv}")
    if not latest.trustworthy:
        return Box(text, False, "; ".join(latest.problems), f"inv verify latest{known.inv}")
    look = latest.last_passed
    more = f"; {look.method} passed at {zulu(look.at)}" if look else ""
    return Box(text, True, f"read back and listed when it was written{more}")


def restored(known: Evidence, text: str, age: timedelta | None = None) -> Box:
    """A box that is ticked when the latest backup itself was restored and found equal."""
    latest = known.catalog.latest()
    at = latest.restored_at if latest else None
    why = "the newest backup was never restored"
    if latest and at:
        why = f"{latest.name} was restored and found equal at {zulu(at)}"
        if age is None or known.now - at <= age:
            return Box(text, True, why)
    return Box(text, False, why, f"inv verify latest --restore{known.inv}")


def trend(known: Evidence, text: str) -> Box:
    """How the sizes of the backups developed."""
    managed = [backup for backup in known.catalog.ordinary if backup.managed]
    why = "there are fewer than two backups"
    if len(managed) > 1:
        first, last = managed[-1], managed[0]
        was = f"{human_size(first.size_bytes)} at {zulu(first.taken_at)}"
        why = f"{was}, now {human_size(last.size_bytes)}"
    return by_hand(text, f"inv backups{known.inv}", why)
