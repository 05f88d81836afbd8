"""What every database of a server loses when the whole of it goes back to an earlier moment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import sql

from archon_ops.errors import OpsError
from archon_ops.model.pitr.replacement import DatabaseLoss
from archon_ops.postgres import databases
from archon_ops.postgres.losses import Newer, of_relations
from archon_ops.postgres.relations import Name
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection, scalar

# Catalogs in which whatever is defined leaves a row, and where one is gone once it is dropped.
_CATALOGS = tuple(
    ("pg_catalog", name)
    for name in ("pg_class", "pg_proc", "pg_namespace", "pg_constraint", "pg_trigger", "pg_policy")
)
# Those in which only a change of something shows.
_CHANGES = tuple(
    ("pg_catalog", name)
    for name in (
        *("pg_attribute", "pg_attrdef", "pg_enum", "pg_rewrite", "pg_extension", "pg_description"),
        *("pg_publication", "pg_publication_rel", "pg_event_trigger", "pg_default_acl"),
    )
)
# What a session has for itself is nobody's loss.
_LASTING = {
    ("pg_catalog", "pg_class"): sql.SQL("relpersistence <> 't'"),
    ("pg_catalog", "pg_namespace"): sql.SQL("nspname !~ '^pg_(toast_)?temp_'"),
    ("pg_catalog", "pg_attribute"): sql.SQL(
        "attnum > 0 AND attrelid NOT IN"
        " (SELECT oid FROM pg_catalog.pg_class WHERE relpersistence = 't')"
    ),
}
# Tables of extensions too: their rows go back like all others. None of a session's own.
_TABLES = """
SELECT n.nspname, c.relname, c.relpersistence = 'u'
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY 1, 2"""
_PREPARED = """
SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()"""
_OBJECTS = ("pg_catalog", "pg_largeobject")
_OBJECTS_THERE = ("pg_catalog", "pg_largeobject_metadata")
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
    server: Server,
    snapshot: str,
    then: tuple[str, ...] | None,
    why: str,
    *,
    timeout: float,
    before: Server | None = None,
) -> tuple[DatabaseLoss, ...]:
    """What each live database loses.

    Args:
        server: the live one.
        snapshot: of the cluster that comes, in its text form: transaction numbers are those of the
            whole cluster. Empty where this server's are not comparable.
        then: databases that there were; None where that is not known.
        why: they are not comparable.
        timeout: seconds for any one table.
        before: the one that comes, which tells what was deleted since; None: it cannot be asked.
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
            found.append(_of(server, before, name, snapshot, timeout))
    return tuple(found)


@dataclass(frozen=True)
class _Counted:
    """What a database holds, and what of that is newer than a snapshot."""

    rows: tuple[Newer, ...]
    catalogs: tuple[Newer, ...]
    changes: tuple[Newer, ...]
    unlogged: frozenset[Name]
    prepared: frozenset[str]

    @property
    def problem(self) -> str:
        """Why something could not be read; empty where all was."""
        every = (*self.rows, *self.catalogs, *self.changes)
        return next((f"{r.schema}.{r.table}: {r.problem}" for r in every if r.problem), "")


def _counted(server: Server, name: str, snapshot: str, timeout: float) -> _Counted:
    with server.connect(name) as connection:
        found = connection.execute(_TABLES).fetchall()
        tables = [(schema, table) for schema, table, _ in found]
        objects = [_OBJECTS_THERE]
        query = "SELECT has_table_privilege(%s, 'SELECT') OR NOT EXISTS (SELECT FROM {})"
        if scalar(connection, query.format(".".join(_OBJECTS_THERE)), ".".join(_OBJECTS)):
            readable = "SELECT has_table_privilege(%s, 'SELECT')"
            objects += [_OBJECTS] if scalar(connection, readable, ".".join(_OBJECTS)) else []
        else:
            objects += [_OBJECTS]  # which says why it cannot be read

        def count(names: Iterable[Name]) -> tuple[Newer, ...]:
            return of_relations(connection, names, snapshot, timeout=timeout, only=_LASTING)

        unlogged = frozenset((schema, table) for schema, table, volatile in found if volatile)
        prepared = frozenset(str(gid) for (gid,) in connection.execute(_PREPARED).fetchall())
        rows = count((*tables, *objects))
        return _Counted(rows, count(_CATALOGS), count(_CHANGES), unlogged, prepared)


def _of(
    server: Server, before: Server | None, name: str, snapshot: str, timeout: float
) -> DatabaseLoss:
    try:
        now = _counted(server, name, snapshot, timeout)
        then = _counted(before, name, snapshot, timeout) if before else None
    except OpsError as error:
        return DatabaseLoss(name, None, None, problem=error.message)
    if waiting := now.prepared - (then.prepared if then else frozenset()):
        gids = ", ".join(sorted(waiting))
        problem = f"what prepared transactions hold back ({gids})"
        return DatabaseLoss(name, None, None, problem=problem)
    if problem := now.problem or (then.problem if then else ""):
        return DatabaseLoss(name, None, None, problem=problem)
    rows, definitions = _total(now.rows), _total((*now.catalogs, *now.changes))
    if then is None:
        return DatabaseLoss(name, rows, definitions)
    # A recovery empties them, whenever their rows were written.
    rows += sum(
        (r.rows or 0) - (r.newer or 0) for r in now.rows if (r.schema, r.table) in now.unlogged
    )
    gone = _gone(then.rows, now.rows) + _gone(then.catalogs, now.catalogs)
    return DatabaseLoss(name, rows, definitions, gone=gone)


def _gone(then: tuple[Newer, ...], now: tuple[Newer, ...]) -> int:
    """How many rows of then are not there any more as they were."""
    left = {(r.schema, r.table): (r.rows or 0) - (r.newer or 0) for r in now}
    return sum(max((r.rows or 0) - left.get((r.schema, r.table), 0), 0) for r in then)


def shared(server: Server, snapshot: str, *, timeout: float) -> int | None:
    """Roles, databases and their settings that were made or changed later; None: not to be seen."""
    with server.connect(databases.MAINTENANCE) as connection:
        found = of_relations(connection, _SHARED, snapshot, timeout=timeout)
    return None if any(one.problem for one in found) else _total(found)


def _total(found: tuple[Newer, ...]) -> int:
    return sum(one.newer or 0 for one in found)
