"""When did rows disappear? A recovered cluster is asked again and again, each time as of a moment.

Every question halves the commits in between, until one is left: that transaction did it. Forward a
sandbox only replays more WAL; back it takes most of its files as they are, and begins anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from archon_ops.actions.pitr.aim import OutsideError, course, moment_of, newest, restored_window
from archon_ops.actions.pitr.branch import along
from archon_ops.actions.pitr.rooms import require_usable, sandbox
from archon_ops.actions.recording import Recording, recorded
from archon_ops.actions.rescue.planning import Request as RescueRequest
from archon_ops.errors import OpsError, UsageError
from archon_ops.model.pitr.gaps import Hole
from archon_ops.model.pitr.labels import Label, Window
from archon_ops.model.pitr.recovery import Stop, at_time
from archon_ops.model.pitr.search import Probe, Vanished, beside, between, fractions, vanished
from archon_ops.model.pitr.stock import Stock
from archon_ops.postgres.expression import counted
from archon_ops.postgres.pitr.sandbox import Room
from archon_ops.postgres.relations import Name, qualified
from archon_ops.site import Site

ACTION = "pitr-find"
# Commits of a month at ten thousand a second would take fewer.
_MOST_PROBES = 60
# Where rows were there neither at the beginning nor at the end, so many moments are looked at.
_LOOKS = 7


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        table: a table in public, or schema.table.
        where: which rows, an expression over its columns; None for all.
        since: a moment at which they were there; None: the earliest that can be restored.
        timeline: to look along; None: the live server's, or else the newest in the repository.
    """

    table: str
    where: str | None = None
    since: str | None = None
    timeline: int | None = None

    @property
    def name(self) -> Name:
        """Schema and table."""
        return RescueRequest("", self.table).name


@dataclass(frozen=True)
class Found:
    """The moment.

    Attributes:
        table: as SCHEMA.TABLE.
        vanished: what happened, and when.
        probes: all moments that were looked at, in that order.
    """

    table: str
    vanished: Vanished
    probes: tuple[Probe, ...]


def find(site: Site, request: Request) -> Found:
    """Find the moment after which rows were not there any more.

    Raises:
        UsageError: the request names no table that there was, no moment, or no expression.
        PreconditionError: nothing can be restored, or not as of then.
        OpsError: there never were more of them than now, as far as was looked.
    """
    name = request.name  # what makes no sense is told before anything else
    since = moment_of(site, request.since) if request.since else None
    with recorded(site, ACTION, alone=False) as run:
        run.details.update({"table": qualified(name)})
        run.site.report.phase("pitr.aim", f"When Did Rows of {qualified(name)} Disappear?")
        # A branch that nobody writes to any more has no now: its end is wherever that is.
        now = run.site.clock() if request.timeline is None else None
        try:
            known = course(run.site, now, request.timeline)
        except OutsideError as error:  # it goes as far as there is WAL
            run.site.report.warn(error.message)
            known = course(run.site, None, request.timeline)
        with sandbox(run.site) as room:
            stock = room.backrest.info()
            require_usable(run.site, stock, room)
            stock = along(run.site, room.backrest, stock, known.branch, request.timeline)
            seeker = _Seeker(run, room, stock, request)
            end = Stop("end", timeline=stock.timeline)
            last = seeker.look(*((a.stop, a.moment) if (a := known.aim) else (end, None)))
            return _narrowed(run, seeker, _first(seeker, last, since), last)


def _first(seeker: _Seeker, last: Probe, since: datetime | None) -> Probe:
    """A moment at which more of the rows were there than at the end."""
    begin = since or seeker.stock.window(None).earliest or last.at
    first = seeker.look_at(begin)
    if first.rows > last.rows:
        return first
    if since is None:
        for moment in seeker.moments(begin, last.at):
            probe = seeker.look_at(moment)
            if probe.rows > last.rows:
                return probe
    if not seeker.existed:
        raise UsageError(
            f"there was no table {qualified(seeker.name)} at any of {len(seeker.probes)} moments",
            "write TABLE or SCHEMA.TABLE; one that lived for a while only: --since TIME",
        )
    when = "at that moment" if since else f"at {len(seeker.probes)} moments of the window"
    raise OpsError(
        f"there were never more such rows in {qualified(seeker.name)} than the {last.rows} at the "
        f"end: looked {when}",
        "name a moment at which they were there: --since TIME; is --where right?",
    )


def _narrowed(run: Recording, seeker: _Seeker, good: Probe, last: Probe) -> Found:
    gone = last
    while (middle := between(good, gone)) is not None and len(seeker.probes) < _MOST_PROBES:
        if (hole := seeker.hole_at(middle)) and (middle := beside(good, gone, hole)) is None:
            run.site.report.warn(f"it cannot be told nearer: {hole.gap.text}")
            break
        probe = seeker.look_at(middle)
        if probe.rows > last.rows:
            good = probe
        else:
            gone = probe
    happened = vanished(good, gone)
    run.details.update({"at": happened.at.isoformat(), "transaction": happened.transaction})
    return Found(qualified(seeker.name), happened, tuple(seeker.probes))


class _Seeker:
    """Looks at a table as of one moment after the other.

    Attributes:
        probes: what was seen, in the order of looking.
        existed: whether the table was there at any of these moments.
    """

    def __init__(self, run: Recording, room: Room, stock: Stock, request: Request) -> None:
        self.name = request.name
        self.stock = stock
        self.probes: list[Probe] = []
        self.existed = False
        self._site = run.site
        self._room = room
        self._where = request.where
        self._position: datetime | None = None
        self._restored = False
        self._window = Window(None, None)

    def hole_at(self, moment: datetime) -> Hole | None:
        """What cannot be restored around a moment; None where it can."""
        return self._window.hole_at(moment)

    def moments(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Where to look for rows that came and went: right before missing WAL, then anywhere."""
        edges = (hole.last_before for hole in self._window.holes)
        yield from (edge for edge in edges if edge and begin < edge < end)
        spread = (begin + (end - begin) * fraction for fraction in fractions(_LOOKS))
        yield from (moment for moment in spread if not self.hole_at(moment))

    def look_at(self, moment: datetime) -> Probe:
        """How many of the rows there were at a moment.

        Raises:
            PreconditionError: WAL is missing, so that it cannot be restored.
        """
        if self.hole_at(moment):
            raise OutsideError(moment, self._window)
        return self.look(at_time(moment, self.stock.timeline), moment)

    def look(self, stop: Stop, moment: datetime | None) -> Probe:
        """How many there were where a recovery stops.

        Args:
            stop: where.
            moment: UTC; None for the end of the archive.
        """
        told = self._go_to(stop, moment)
        if not self.probes:
            self._window = restored_window(self._site, self._room, self.stock)
        stopped = self._room.recover(**told)
        found = self._count()
        self.existed = self.existed or found is not None
        rows = found or 0
        self._room.inside.drop()
        self._position = moment
        at = moment or stopped.last_commit or self.stock.labels[-1].stopped_at
        probe = Probe(at, rows, stopped)
        self.probes.append(probe)
        self._site.report.step("pitr.look", f"{at:%Y-%m-%d %H:%M:%S.%f} UTC: {rows} rows")
        return probe

    def _go_to(self, stop: Stop, moment: datetime | None) -> dict[str, str]:
        """Have files from which the moment can be reached; what the server has to be told."""
        label = self._label(moment)
        ahead = self._position is not None and moment is not None and self._position < moment
        if ahead and self._position is not None and label.stopped_at <= self._position:
            return {"recovery_target_time": stop.value}
        if not self._restored:
            self._room.room_for(label.database_bytes)
        self._room.restore(stop, backup=label.name, again=self._restored)
        self._restored = True
        return {}

    def _label(self, moment: datetime | None) -> Label:
        if moment is None:
            return newest(self.stock)
        label = self.stock.newest_before(moment)
        if label is None:
            raise OutsideError(moment, self.stock.window(None))
        return label

    def _count(self) -> int | None:
        with self._room.server() as server, server.connect(self._site.database) as connection:
            seconds = self._site.settings.deadlines.proof
            return counted(connection, self.name, self._where, timeout=seconds)
