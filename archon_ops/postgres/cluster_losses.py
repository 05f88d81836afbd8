"""What every database of a server loses when the whole of it goes back to an earlier moment."""

from __future__ import annotations

from archon_ops.errors import OpsError
from archon_ops.model.pitr.replacement import DatabaseLoss
from archon_ops.postgres import databases
from archon_ops.postgres.losses import Newer, of_relations, since_snapshot
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection, scalar

# Catalogs in which whatever is defined leaves a row. Those of types and columns go with them.
_CATALOGS = tuple(
    ("pg_catalog", name)
    for name in ("pg_class", "pg_proc", "pg_namespace", "pg_constraint", "pg_trigger", "pg_policy")
)
# And those that all databases share. Of a role every new password is a change.
_SHARED = tuple(
    ("pg_catalog", name)
    for name in ("pg_authid", "pg_auth_members", "pg_database", "pg_db_role_setting")
)


def names(connection: Connection) -> tuple[str, ...]:
    """All databases but templates."""
    rows = connection.execute(
        "SELECT datname FROM pg_catalog.pg_database WHERE NOT datistemplate ORDER BY 1"
    ).fetchall()
    return tuple(str(name) for (name,) in rows)


def slots(connection: Connection) -> tuple[str, ...]:
    """All replication slots."""
    rows = connection.execute(
        "SELECT slot_name FROM pg_catalog.pg_replication_slots ORDER BY 1"
    ).fetchall()
    return tuple(str(name) for (name,) in rows)


def size_bytes(connection: Connection) -> int:
    """Bytes of all databases together, those that may be looked at."""
    query = """SELECT coalesce(sum(pg_catalog.pg_database_size(oid)), 0)
               FROM pg_catalog.pg_database
               WHERE has_database_privilege(oid, 'CONNECT')"""
    return int(scalar(connection, query))


def since(
    server: Server, snapshot: str, then: tuple[str, ...] | None, why: str, *, timeout: float
) -> tuple[DatabaseLoss, ...]:
    """What each live database loses.

    Args:
        server: the live one.
        snapshot: of the cluster that comes, in its text form: transaction numbers are those of the
            whole cluster. Empty where this server's are not comparable.
        then: databases that there were; None where that is not known.
        why: they are not comparable.
        timeout: seconds for any one table.
    """
    with server.connect(databases.MAINTENANCE) as connection:
        live = names(connection)
    found = []
    for name in live:
        if then is not None and name not in then:
            found.append(DatabaseLoss(name, None, None, created=True))
        elif not snapshot:
            found.append(DatabaseLoss(name, None, None, problem=why))
        else:
            found.append(_of(server, name, snapshot, timeout))
    return tuple(found)


def _of(server: Server, name: str, snapshot: str, timeout: float) -> DatabaseLoss:
    try:
        with server.connect(name) as connection:
            rows = since_snapshot(connection, Scope(), snapshot, timeout=timeout)
            catalogs = of_relations(connection, _CATALOGS, snapshot, timeout=timeout)
    except OpsError as error:
        return DatabaseLoss(name, None, None, problem=error.message)
    unread = (f"{r.schema}.{r.table}: {r.problem}" for r in (*rows, *catalogs) if r.problem)
    if problem := next(unread, ""):
        return DatabaseLoss(name, None, None, problem=problem)
    return DatabaseLoss(name, _total(rows), _total(catalogs))


def shared(server: Server, snapshot: str, *, timeout: float) -> int | None:
    """Roles, databases and their settings that were made or changed later; None: not to be seen."""
    with server.connect(databases.MAINTENANCE) as connection:
        found = of_relations(connection, _SHARED, snapshot, timeout=timeout)
    return None if any(one.problem for one in found) else _total(found)


def _total(found: tuple[Newer, ...]) -> int:
    return sum(one.newer or 0 for one in found)
