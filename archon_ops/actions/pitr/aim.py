"""Which moment a recovery aims at, whether the archive reaches it, and where it begins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from archon_ops.actions.pitr.point import point_name
from archon_ops.actions.pitr.reach import Reached, configured, last_archived, reached, window
from archon_ops.errors import OpsError, PreconditionError
from archon_ops.model.pitr.labels import Label, Stock, Window
from archon_ops.model.pitr.moment import parse_moment
from archon_ops.model.pitr.recovery import Stop, at_time, segment_bytes
from archon_ops.model.units import zulu
from archon_ops.postgres import facts
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


def aim_at(site: Site, moment: datetime | None) -> Aim | None:
    """Decide with the help of the live server, whose newest WAL is archived first if need be.

    Args:
        site: where.
        moment: UTC; None for the latest.

    Returns:
        None where the server does not answer: then the repository alone has to decide.

    Raises:
        PreconditionError: the moment is outside of what can be restored; says what can.
    """
    try:
        with reached(site) as at:
            archived = last_archived(site, at)
            stock = at.backrest.info()
            if not _ours(site, at, stock):
                return None
            return _aim(site, at, stock, moment, archived)
    except OutsideError:
        raise
    except OpsError as error:
        site.report.warn(f"the live server is not asked: {error.message}")
        return None


def aim_without(stock: Stock, moment: datetime | None) -> Aim:
    """Decide by what the repository says of its backups; how far its WAL reaches is seen later.

    Raises:
        PreconditionError: the moment is before all of them.
    """
    if moment is None:
        return Aim(Stop("end"), newest(stock), None)
    return Aim(at_time(moment), _begin(stock, moment, stock.window(None)), moment)


def aim_at_point(stock: Stock, name: str) -> Aim:
    """A restore point: one of ours is right after its backup, another's may be anywhere."""
    sound = [label for label in stock.labels if not label.damaged]
    ours = [label for label in sound if point_name(label.name) == name]
    oldest = sound[0] if sound else newest(stock)
    return Aim(Stop("name", name), ours[0] if ours else oldest, None)


def require_reached(site: Site, room: Room, stock: Stock, aim: Aim) -> None:
    """Make sure that the archive reaches the moment, once there are files to read it with.

    Raises:
        PreconditionError: it does not; says how far it reaches.
    """
    if aim.stop.kind == "name" or aim.latest is not None or stock.last_wal is None:
        return
    pg_waldump = room.inside.program("pg_waldump")
    found = restorable(
        room.backrest, pg_waldump, stock, segment_bytes(room.inside.control()), site.run_id
    )
    if aim.moment is None:
        _say_broken(site, found)
    elif found.hole_at(aim.moment) or (found.latest is not None and aim.moment >= found.latest):
        raise OutsideError(aim.moment, found)


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
        super().__init__(
            f"{zulu(moment)} cannot be restored: the window is from {earliest} to {latest}"
            + (f"; {why}" if why else ""),
            "choose a time within it, or --time latest; inv pitr.list shows the backups",
        )


def _aim(
    site: Site, at: Reached, stock: Stock, moment: datetime | None, archived: str | None
) -> Aim | None:
    if not stock.labels:
        return None
    found = window(site, at, stock, archived)
    label = newest(stock) if moment is None else _begin(stock, moment, found)
    if moment is not None and found.hole_at(moment):
        raise OutsideError(moment, found)
    if moment is not None and found.latest is not None and moment < found.latest:
        return Aim(at_time(moment), label, moment, found.latest)
    if moment is None and found.broken:
        _say_broken(site, found)
        return Aim(Stop("end"), label, None, found.latest)
    try:
        lsn = _archive_all(site, at)
    except OpsError as error:
        if moment is not None:
            raise OutsideError(moment, found, error.message) from error
        site.report.warn(f"what is not archived yet is left out: {error.message}")
        return Aim(Stop("end"), label, None, found.latest)
    now = site.clock()
    if moment is None:
        return Aim(Stop("lsn", lsn), label, now, now)
    return Aim(at_time(moment), label, moment, now)


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


def _ours(site: Site, at: Reached, stock: Stock) -> bool:
    """Whether the live server is the one that the repository is of."""
    with at.server.connect(site.database) as connection:
        ours = facts.system_identifier(connection)
    if stock.exists and stock.system_identifier != ours:
        site.report.warn(
            f"the repository is of server {stock.system_identifier}, and {at.server.host} is "
            f"server {ours}: the repository alone says what can be restored"
        )
        return False
    return stock.exists


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
    sound = [label for label in stock.labels if not label.damaged]
    if not sound:
        raise PreconditionError(
            f"the repository holds no sound backup of {stock.stanza}", "inv pitr.backup"
        )
    return sound[-1]
