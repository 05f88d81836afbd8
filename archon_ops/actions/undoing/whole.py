"""Bring a whole database back: the switch backwards."""

from __future__ import annotations

from archon_ops.actions.undoing.plan import UndoPlan
from archon_ops.errors import OpsError
from archon_ops.model.plan import target_of
from archon_ops.postgres import databases, facts, obstacles
from archon_ops.postgres.kept import Kept
from archon_ops.postgres.losses import since_snapshot
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.server import Server
from archon_ops.postgres.switch import switch
from archon_ops.site import Site


def plan_whole(site: Site, server: Server, kept: Kept) -> UndoPlan:
    """What an undo of a whole database would do."""
    database = site.database
    with server.connect(databases.MAINTENANCE) as connection:
        oid = databases.oid_of(connection, database)
        identifier = facts.system_identifier(connection)
        obstacles.require_switchable(connection, database)
        obstacles.require_switchable(connection, kept.name)
        slots = obstacles.slots_of(connection, database)
    leaving, uncounted = _leaving(site, server, kept, oid)
    target = target_of(site.name, server.host, database, identifier)
    return UndoPlan(target, kept, oid, leaving, uncounted, slots)


def _leaving(site: Site, server: Server, kept: Kept, oid: int | None) -> tuple[dict[str, int], str]:
    """Rows written since the switch by table, or why they cannot be counted."""
    if oid is None:
        return {}, ""
    if oid != kept.successor_oid:
        return {}, f"the present {kept.database} is not the database that replaced it"
    limit = site.settings.deadlines.proof
    try:
        with server.connect(kept.database) as connection:
            rows = since_snapshot(connection, Scope(), kept.snapshot, timeout=limit)
    except OpsError as error:  # an undo is also the way out of a database that does not work
        return {}, error.message
    unread = "; ".join(f"{row.schema}.{row.table}: {row.problem}" for row in rows if row.problem)
    return {f"{row.schema}.{row.table}": row.newer for row in rows if row.newer}, unread


def undo_whole(site: Site, server: Server, planned: UndoPlan) -> Kept | None:
    """Switch; answers what left service.

    Raises:
        LockedError: sessions kept coming back; nothing was changed.
    """
    incoming = planned.kept
    with server.connect(databases.MAINTENANCE) as connection:
        oid = databases.oid_of(connection, incoming.name)
        comment = databases.comment_of(connection, incoming.database)
    outgoing = Kept(
        name=databases.kept_name(site.run_id),
        database=incoming.database,
        kept_at=site.clock(),
        run_id=site.run_id,
        replaced_by="undo",
        snapshot="",
        successor_oid=oid or 0,
        comment=comment,
    )
    switch(
        server,
        incoming.name,
        outgoing,
        comment=incoming.comment,
        outgoing_exists=planned.database_exists,
    )
    return outgoing if planned.database_exists else None
