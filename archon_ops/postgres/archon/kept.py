"""Archon's objects that left service: schemas that an undo brings back."""

from __future__ import annotations

from psycopg import sql

from archon_ops.postgres.archon.staging import drop
from archon_ops.postgres.kept import Kept, newest_first, parse_mark
from archon_ops.postgres.scope import KEPT_PREFIX
from archon_ops.postgres.session import Connection

_DROPPING = "archon_ops: being dropped"


def generations(connection: Connection) -> tuple[Kept, ...]:
    """Schemas kept in the session's database, newest first."""
    rows = connection.execute(
        """SELECT n.nspname, obj_description(n.oid, 'pg_namespace'),
                  coalesce((SELECT sum(pg_total_relation_size(c.oid)) FROM pg_catalog.pg_class c
                            WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'm')), 0)::bigint
           FROM pg_catalog.pg_namespace n WHERE starts_with(n.nspname, %s)""",
        [KEPT_PREFIX],
    ).fetchall()
    return newest_first([kept for row in rows if (kept := parse_mark(*row))])


def drop_kept(connection: Connection, name: str) -> None:
    """Drop a kept schema; one whose drop was cut short never comes back by an undo."""
    say = sql.SQL("COMMENT ON SCHEMA {} IS {}")
    connection.execute(say.format(sql.Identifier(name), sql.Literal(_DROPPING)))
    drop(connection, name)


def half_dropped(connection: Connection) -> tuple[str, ...]:
    """Kept schemas whose drop was cut short."""
    rows = connection.execute(
        """SELECT nspname FROM pg_catalog.pg_namespace WHERE starts_with(nspname, %s)
             AND obj_description(oid, 'pg_namespace') = %s ORDER BY 1""",
        [KEPT_PREFIX, _DROPPING],
    ).fetchall()
    return tuple(name for (name,) in rows)
