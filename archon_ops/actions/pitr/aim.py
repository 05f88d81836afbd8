"""Which moment a recovery aims at, whether the archive reaches it, and where it begins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from archon_ops.actions.pitr.branch import NoTimelineError, chosen_branch, live_branch, ours, say
from archon_ops.actions.pitr.point import point_name
from archon_ops.actions.pitr.reach import Reached, configured, last_archived, reached, window
from archon_ops.errors import OpsError, PreconditionError
from archon_ops.model.pitr.labels import Label, Window
from archon_ops.model.pitr.moment import parse_moment
from archon_ops.model.pitr.recovery import Stop, at_time, segment_bytes
from archon_ops.model.pitr.stock import Stock
from archon_ops.model.pitr.timelines import Branch
from archon_ops.model.units import zulu
from archon_ops.postgres.pitr.sandbox import Room
from archon_ops.postgres.pitr.wal import restorable
from archon_ops.postgres.session import scalar
from archon_ops.site import Site

LATEST = "latest"
_CHECK_SECONDS = 120.0


@dataclass(frozen=True)
class Aim:
    """Where a recovery goes.

    Attributes:
        stop: where it ends.
        label: the backup that it begins with.
        moment: UTC; None for the end of the archive, wherever that is.
        latest: the last commit that is archived, where the server could be asked.
    """

    stop: Stop
    label: Label
    moment: datetime | None
    latest: datetime | None = None

    @property
    def timeline(self) -> int | None:
        """The one that is followed; None leaves it to PostgreSQL."""
        return self.stop.timeline


@dataclass(frozen=True)
class Course:
    """What the live server, or its pgBackRest, could say before there is a sandbox.

    Attributes:
        branch: that is followed; None where there is no server of the repository's to ask.
        aim: where the recovery goes; None where the repository alone has to decide.
    """

    branch: Branch | None = None
    aim: Aim | None = None


@dataclass(frozen=True)
class _Look:
    """What the server's host was asked.

    Attributes:
        site: the source.
        at: its server.
        stock: what the repositories hold of the branch that is followed.
        live: the branch that the server is on.
        archived: the last segment that it takes for archived.
    """

    site: Site
    at: Reached
    stock: Stock
    live: Branch
    archived: str | None


def moment_of(site: Site, text: str) -> datetime | None:
    """The moment that a person means, UTC; None for the latest.

    Raises:
        UsageError: it is none.
    """
    if text.strip().lower() == LATEST:
        return None
    found = parse_moment(text, site.clock(), configured(site).zone)
    if found.said:
        site.report.info(found.said)
    return found.at


def course(
    site: Site, moment: datetime | None, timeline: int | None = None, *, point: bool = False
) -> Course:
    """Decide with the help of the live server, whose newest WAL is archived first if need be.

    Args:
        site: where.
        moment: UTC; None for the latest.
        timeline: that somebody chose; None: the one that the server is on.
        point: whether it is a restore point that is looked for, wherever in the WAL that is.

    Raises:
        PreconditionError: the timeline is not there, or the moment is outside of what can be
            restored on it; says what can.
    """
    try:
        with reached(site) as at:
            archived = last_archived(site, at)
            stock = at.backrest.info()
            if not ours(site, at, stock):
                return Course()
            live = live_branch(site, at, stock)
            branch = live
            if timeline is not None and timeline != live.number:
                branch = chosen_branch(at.backrest, stock, timeline)
            look = _Look(site, at, stock.on(branch), live, archived)
            return Course(branch, _aimed(look, moment, point=point))
    except (OutsideError, NoTimelineError):
        raise
    except OpsError as error:
        site.report.warn(f"the live server is not asked: {error.message}")
        return Course()


def aim_without(stock: Stock, moment: datetime | None) -> Aim:
    """Decide by what the repository says of its backups; how far its WAL reaches is seen later.

    Raises:
        PreconditionError: the moment is before all of them.
    """
    if moment is None:
        return Aim(Stop("end", timeline=stock.timeline), newest(stock), None)
    label = _begin(stock, moment, stock.window(None))
    return Aim(at_time(moment, stock.timeline), label, moment)


def aim_at_point(stock: Stock, name: str) -> Aim:
    """A restore point: one of ours is right after its backup, another's may be anywhere.

    Raises:
        PreconditionError: it is on another branch, or there is no sound backup on this one.
    """
    for label in stock.elsewhere:
        if point_name(label.name) == name:
            raise PreconditionError(
                f"point {name} is of timeline {label.timeline}, and {stock.timeline} is followed",
                f"--timeline {label.timeline}",
            )
    sound = [label for label in stock.labels if label.usable]
    right_before = [label for label in sound if point_name(label.name) == name]
    oldest = sound[0] if sound else newest(stock)
    stop = Stop("name", name, stock.timeline)
    return Aim(stop, right_before[0] if right_before else oldest, None)


def require_reached(site: Site, room: Room, stock: Stock, aim: Aim) -> None:
    """Make sure that the archive reaches the moment, once there are files to read it with.

    Raises:
        PreconditionError: it does not; says how far it reaches.
    """
    if aim.stop.kind == "name" or aim.latest is not None or stock.last_wal is None:
        return
    found = restored_window(site, room, stock)
    if aim.moment is None:
        _say_broken(site, found)
    elif found.hole_at(aim.moment) or (found.latest is not None and aim.moment >= found.latest):
        raise OutsideError(aim.moment, found)


def restored_window(site: Site, room: Room, stock: Stock) -> Window:
    """The times that can be restored, as a sandbox sees them that has files.

    Raises:
        OpsError: the archive cannot be read.
    """
    pg_waldump = room.inside.program("pg_waldump")
    wal_bytes = segment_bytes(room.inside.control())
    return restorable(room.backrest, pg_waldump, stock, wal_bytes, site.run_id)


class OutsideError(PreconditionError):
    """A moment that cannot be restored; names those that can.

    Args:
        moment: the one asked for, UTC.
        found: the window.
        why: what else is known.
    """

    def __init__(self, moment: datetime, found: Window, why: str = "") -> None:
        if hole := found.hole_at(moment):
            until = zulu(hole.until) if hole.until else "a new backup (inv pitr.backup)"
            why = f"{hole.gap.text}, so that nothing is restored up to {until}"
        earliest = zulu(found.earliest) if found.earliest else "nothing"
        latest = zulu(found.latest) if found.latest else "the end of the archive"
        of = f" of timeline {found.timeline}" if found.timeline else ""
        super().__init__(
            f"{zulu(moment)} cannot be restored: the window{of} is from {earliest} to {latest}"
            + (f"; {why}" if why else ""),
            "choose a time within it, or --time latest; inv pitr.list shows the backups",
        )


def _aimed(look: _Look, moment: datetime | None, *, point: bool) -> Aim | None:
    """Where to, if that can be told here; the branch is decided whether it can or not."""
    site, at, stock = look.site, look.at, look.stock
    try:
        say(site, at, stock, look.live)
        return None if point or not stock.labels else _aim(look, moment)
    except OutsideError:
        raise
    except OpsError as error:
        site.report.warn(f"the repository alone says what can be restored: {error.message}")
        return None


def _aim(look: _Look, moment: datetime | None) -> Aim:
    site, at, stock = look.site, look.at, look.stock
    along, lives = stock.timeline, stock.timeline == look.live.number
    found = window(site, at, stock, look.archived if lives else None)
    label = newest(stock) if moment is None else _begin(stock, moment, found)
    if moment is not None and found.hole_at(moment):
        raise OutsideError(moment, found)
    if moment is not None and found.latest is not None and moment < found.latest:
        return Aim(at_time(moment, along), label, moment, found.latest)
    if moment is None and (found.broken or not lives):
        _say_broken(site, found)
        return Aim(Stop("end", timeline=along), label, None, found.latest)
    if moment is not None and not lives:
        why = f"{at.server.host} is on timeline {look.live.number}, and adds nothing to that one"
        raise OutsideError(moment, found, why)
    try:
        lsn = _archive_all(site, at)
    except OpsError as error:
        if moment is not None:
            raise OutsideError(moment, found, error.message) from error
        site.report.warn(f"what is not archived yet is left out: {error.message}")
        return Aim(Stop("end", timeline=along), label, None, found.latest)
    now = site.clock()
    if moment is None:
        return Aim(Stop("lsn", lsn, along), label, now, now)
    return Aim(at_time(moment, along), label, moment, now)


def _say_broken(site: Site, found: Window) -> None:
    if found.broken:
        site.report.warn(f"{found.broken.gap.text}: what was written later is not restored")


def _archive_all(site: Site, at: Reached) -> str:
    """Have all WAL archived that was written until now; where that ends.

    A recovery stops at the first commit after its moment: so there has to be one.

    Raises:
        OpsError: it is not archived; says why.
    """
    site.report.step("pitr.archive", "Archiving the newest WAL")
    with at.server.connect(site.database) as connection:
        connection.execute("SELECT pg_catalog.pg_current_xact_id()")
        lsn = str(scalar(connection, "SELECT pg_catalog.pg_current_wal_insert_lsn()"))
    at.backrest.run("check", timeout=_CHECK_SECONDS)
    return lsn


def _begin(stock: Stock, moment: datetime, found: Window) -> Label:
    label = stock.newest_before(moment)
    if label is None:
        raise OutsideError(moment, found)
    return label


def newest(stock: Stock) -> Label:
    """The newest sound backup.

    Raises:
        PreconditionError: there is none.
    """
    sound = [label for label in stock.labels if label.usable]
    if not sound:
        raise PreconditionError(
            f"the repository holds no sound backup of {stock.stanza}"
            + (f" on timeline {stock.timeline}" if stock.elsewhere else ""),
            "inv pitr.backup",
        )
    return sound[-1]
