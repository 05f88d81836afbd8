"""What is wrong with a source's point-in-time recovery, from what was last seen of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from archon_ops.model.health import Level, assess, following
from archon_ops.model.pitr.gaps import Hole
from archon_ops.model.pitr.state import Archiver, State
from archon_ops.model.schedule import Entry
from archon_ops.model.units import human_duration, human_size, zulu

# How long archiving may fail before it is said, before it is critical, and how long a disk must
# last at least.
_PATIENCE = timedelta(minutes=5)
_CRITICAL = timedelta(hours=1)
_HORIZON = timedelta(hours=12)


@dataclass(frozen=True)
class Concern:
    """Something that is wrong with it.

    Attributes:
        critical: whether it cannot wait until tomorrow.
        state: what, in a word or two.
        text: in a sentence.
    """

    critical: bool
    state: str
    text: str


def concern(
    state: State | None, now: datetime, due: Mapping[str, Entry] | None = None
) -> Concern | None:
    """The worst that is wrong; None when all is well.

    Args:
        state: what was last seen; None: no backup is known.
        now: UTC time that ages are counted to.
        due: when backups are made by themselves, by their kind (full, incr).
    """
    due = due or {}
    if state is None:
        return _never(due)
    if state.trouble:
        failing = _archiving(state.archiver, now) if state.archiver else None
        more = f"; {failing.text}" if failing else ""
        return Concern(True, "trouble", f"point-in-time recovery: {state.trouble}{more}")
    if state.damaged:
        return Concern(True, "damaged", f"the repository is damaged: {state.damaged[0]}")
    archiver = state.archiver
    if archiver and state.broken and not state.broken.gap.after:
        # To the server what it dropped a moment ago was archived.
        archiver = replace(archiver, last_archived_at=state.broken.since)
    failing = _archiving(archiver, now) if archiver else None
    if state.broken:
        more = f"; {failing.text}" if failing else ""
        return Concern(True, "gap", f"{_lost(state.broken)}{more}")
    if archiver and archiver.mode == "off":
        return Concern(True, "off", "WAL is not archived: archive_mode is off (inv pitr.setup)")
    found = [failing, *_overdue(state, now, due), _bare(state.bare)]
    return max(filter(None, found), key=lambda one: one.critical, default=None)


def _never(due: Mapping[str, Entry]) -> Concern | None:
    if not due:
        return None
    text = "the schedule has pgBackRest's backups, and none is known here: inv pitr.backup"
    return Concern(True, "no backup", text)


def _overdue(state: State, now: datetime, due: Mapping[str, Entry]) -> Iterator[Concern]:
    """A full backup does for an incremental one, and none of another branch for either."""
    mine = [one for one in state.labels if one.usable and one.name not in state.elsewhere]
    for kind, entry in due.items():
        doing = [one.stopped_at for one in mine if kind != "full" or one.kind == "full"]
        what = "full backup" if kind == "full" else "backup"
        todo = f"inv pitr.backup --type {kind}"
        if not doing:
            yield Concern(True, f"no {kind} backup", f"pgBackRest has no sound {what}: {todo}")
            continue
        age = (now - max(doing)).total_seconds()
        level = assess(age / 3600, following(entry.interval, str(entry))).level
        if level is Level.HEALTHY:
            continue
        text = (
            f"pgBackRest's newest {what} is {human_duration(age)} old, and the schedule has one "
            f"every {human_duration(entry.interval.total_seconds())} ({entry}): {todo}"
        )
        yield Concern(level is not Level.AGING, f"{kind} backup {level}", text)


def _bare(numbers: tuple[int, ...]) -> Concern | None:
    if not numbers:
        return None
    text = (
        f"repository {numbers[0]} holds no backup, so that its WAL only grows, and nothing can be "
        f"restored from it: inv pitr.backup --repository {numbers[0]}"
    )
    return Concern(False, "no backup", text)


def _lost(hole: Hole) -> str:
    since = f"nothing after {zulu(hole.since)}" if hole.since else "no later moment"
    return f"{hole.gap.text}: {since} can be restored until a new backup is taken: inv pitr.backup"


def _archiving(archiver: Archiver, now: datetime) -> Concern | None:
    if not archiver.failing or archiver.last_failed_at is None:
        return None
    began = archiver.last_archived_at
    lasted = now - began if began else None
    full = archiver.full_in(now)
    urgent = full is not None and full < _HORIZON
    if lasted is not None and lasted < _PATIENCE and not urgent:
        return None
    since = f"for {human_duration(lasted.total_seconds())}" if lasted else "from the beginning"
    room = f", {human_size(archiver.free_bytes)} free" if archiver.free_bytes is not None else ""
    ends = f", full in about {human_duration(full.total_seconds())}" if full else ""
    text = (
        f"WAL has not been archived {since}: {archiver.last_failed_wal} fails; "
        f"{human_size(archiver.waiting_bytes)} wait on the database's disk{room}{ends}"
    )
    critical = lasted is None or lasted >= _CRITICAL or urgent
    return Concern(critical, "not archived" if critical else "archiving fails", text)
