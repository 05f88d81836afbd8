"""Which branch a recovery follows: the live server's, else the archive's newest, else the chosen.

PostgreSQL's own default is the newest timeline of the archive. Where a cluster was recovered, and
then the old one was put back into service, that is the branch nobody is on any more.
"""

from __future__ import annotations

from archon_ops.actions.pitr.reach import Reached
from archon_ops.errors import PreconditionError
from archon_ops.model.pitr.stock import Stock
from archon_ops.model.pitr.timelines import Branch, history_name, parse_history
from archon_ops.model.pitr.wal import timeline_of
from archon_ops.postgres import facts
from archon_ops.postgres.pitr.archive import Archive
from archon_ops.postgres.pitr.pgbackrest import PgBackRest
from archon_ops.postgres.session import scalar
from archon_ops.site import Site

# The control file tells of it only from the first checkpoint after a promotion on.
_TIMELINE = """
SELECT CASE WHEN pg_catalog.pg_is_in_recovery()
    THEN (SELECT lpad(to_hex(timeline_id), 8, '0') FROM pg_catalog.pg_control_checkpoint())
    ELSE pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) END"""


class NoTimelineError(PreconditionError):
    """A timeline that is not in the repository; names those that are.

    Args:
        wanted: the one that was chosen.
        there: those that could be.
    """

    def __init__(self, wanted: int, there: tuple[int, ...]) -> None:
        super().__init__(
            f"there is no timeline {wanted} in the repository: it has {_listed(there) or 'none'}",
            "--timeline N with one of these, or without it the one that the server is on",
        )


def ours(site: Site, at: Reached, stock: Stock) -> bool:
    """Whether the live server is the one that the repository is of."""
    with at.server.connect(site.database) as connection:
        live = facts.system_identifier(connection)
    if stock.exists and stock.system_identifier != live:
        site.report.warn(
            f"the repository is of server {stock.system_identifier}, and {at.server.host} is "
            f"server {live}: the repository alone says what can be restored"
        )
        return False
    return stock.exists


def live_branch(site: Site, at: Reached, stock: Stock) -> Branch:
    """The branch that a server is on, whose repository it is.

    Raises:
        OpsError: its history cannot be read.
    """
    with at.server.connect(site.database) as connection:
        timeline = timeline_of(str(scalar(connection, _TIMELINE)))
    if timeline == 1:
        return Branch(1)
    path = f"{at.config.data_folder}/pg_wal/{history_name(timeline)}"
    text = at.backrest.host.read(path)
    if text is None:
        return Archive(at.backrest, stock).branch(timeline)
    return parse_history(timeline, text.decode(errors="replace"))


def chosen_branch(backrest: PgBackRest, stock: Stock, timeline: int) -> Branch:
    """The branch that somebody chose.

    Raises:
        NoTimelineError: it is not there.
        OpsError: a repository cannot be read.
    """
    archive = Archive(backrest, stock)
    if timeline not in archive.timelines:
        raise NoTimelineError(timeline, archive.timelines)
    return archive.branch(timeline)


def newest_branch(backrest: PgBackRest, stock: Stock) -> Branch:
    """The branch that PostgreSQL would follow: of the newest timeline in the archive.

    Raises:
        OpsError: a repository cannot be read.
    """
    archive = Archive(backrest, stock)
    return archive.branch(max(archive.timelines, default=1))


def along(
    site: Site, backrest: PgBackRest, stock: Stock, branch: Branch | None, timeline: int | None
) -> Stock:
    """What of the repository belongs to the branch that is followed.

    Args:
        site: told which branch that is, where nobody could be asked.
        backrest: reads the repository.
        stock: all that is in it.
        branch: the one that the live server knows of; None where it was not asked.
        timeline: the one that somebody chose.

    Raises:
        NoTimelineError: the chosen one is not there.
        OpsError: a repository cannot be read.
    """
    if branch is None and timeline is not None:
        branch = chosen_branch(backrest, stock, timeline)
    elif branch is None:
        branch = newest_branch(backrest, stock)
        if others := _others(backrest, stock, branch):
            site.report.warn(
                f"timeline {branch.number} is followed, the newest in the repository: no server "
                f"says which one it is on; there is {_listed(others)} as well: --timeline N"
            )
    return stock.on(branch)


def say(site: Site, at: Reached, stock: Stock, live: Branch) -> None:
    """Tell which branch is followed, where there is more than one.

    Args:
        site: told.
        at: its server.
        stock: what belongs to the branch that is followed.
        live: the branch that the server is on.

    Raises:
        OpsError: a repository cannot be read.
    """
    branch = stock.branch or live
    if branch.number == 1 and stock.timelines <= {1}:
        return
    others = _listed(_others(at.backrest, stock, branch))
    there = f"{at.server.host} is on"
    why = f"which {there}" if branch == live else f"as chosen; {there} timeline {live.number}"
    more = f"; the repository has {others} as well: --timeline N" if others else ""
    site.report.info(f"follows timeline {branch.number}, {why}{more}")


def _others(backrest: PgBackRest, stock: Stock, branch: Branch) -> tuple[int, ...]:
    there = Archive(backrest, stock).timelines
    return tuple(number for number in there if number != branch.number)


def _listed(timelines: tuple[int, ...]) -> str:
    """Numbers, as a sentence has them."""
    what = "timeline" if len(timelines) == 1 else "timelines"
    return f"{what} {', '.join(map(str, timelines))}" if timelines else ""
