"""What restores and undos took out of service: schemas, databases, whole clusters."""

from __future__ import annotations

from archon_ops.errors import OpsError
from archon_ops.postgres import databases
from archon_ops.postgres.archon import kept as schemas
from archon_ops.postgres.kept import CLUSTER, Kept, newest_first
from archon_ops.postgres.pitr import waiting
from archon_ops.postgres.server import Server


def generations(server: Server, database: str) -> tuple[Kept, ...]:
    """All that is kept for an undo of this database, newest first."""
    with server.connect(databases.MAINTENANCE) as connection:
        whole = databases.generations(connection, database)
        there = databases.oid_of(connection, database) is not None
    whole = (*whole, *waiting.clusters(server))
    if not there:
        return newest_first(list(whole))
    try:
        with server.connect(database) as connection:
            parts = schemas.generations(connection)
    except OpsError:  # it lets nobody in; a kept database is the way out of that
        parts = ()
    return newest_first([*whole, *parts])


def drop(server: Server, kept: Kept) -> None:
    """Drop what is kept; there is no undo after that."""
    if kept.scope == CLUSTER:
        waiting.drop(server, kept)
    elif kept.scope == "database":
        with server.connect(databases.MAINTENANCE) as connection:
            databases.drop_kept(connection, kept.name)
    else:
        with server.connect(kept.database) as connection:
            schemas.drop_kept(connection, kept.name)
