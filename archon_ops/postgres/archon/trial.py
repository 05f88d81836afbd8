"""An exchange's effects on what is not Archon's, tried out and taken back beforehand."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import sql

from archon_ops.errors import PreconditionError
from archon_ops.postgres.archon.locking import touched
from archon_ops.postgres.archon.move import definition_of
from archon_ops.postgres.archon.objects import SCHEMA
from archon_ops.postgres.session import Connection, scalar, set_local

_TABLE = "archon_ops_trial"
_WHOLE = "or restore everything with --scope database"


def try_routines(connection: Connection, wanted: Mapping[str, str]) -> None:
    """Give routines that neighbours use too their new definitions, and take that back.

    Raises:
        PreconditionError: PostgreSQL refuses one: it has other names of arguments, say.
    """
    for label, definition in wanted.items():
        if definition_of(connection, label) == definition:
            continue
        try:
            with connection.transaction(force_rollback=True):
                set_local(connection, "check_function_bodies", "off")
                connection.execute(definition.encode())
        except (psycopg.OperationalError, psycopg.errors.InsufficientPrivilege):
            raise
        except psycopg.Error as error:
            raise PreconditionError(
                f"{label} is used by neighbours too, and the backup's cannot take its place: "
                f"{error.diag.message_primary}; nothing was touched",
                f"make it again with the arguments and the result of the backup's, {_WHOLE}",
            ) from error


def try_event_triggers(connection: Connection, schema: str) -> None:
    """Make and move a table, see what the database's event triggers do, and take it back.

    Args:
        connection: session on the live database.
        schema: a name for a schema that is ours alone.

    Raises:
        PreconditionError: they refuse it, or write to what is not Archon's.
    """
    rows = connection.execute(
        "SELECT evtname FROM pg_catalog.pg_event_trigger WHERE evtenabled IN ('O', 'A') ORDER BY 1"
    ).fetchall()
    if not rows:
        return
    names = ", ".join(name for (name,) in rows)
    disable = f"ALTER EVENT TRIGGER … DISABLE for as long as the restore takes, {_WHOLE}"
    try:
        with connection.transaction(force_rollback=True):
            reached = _move_a_table(connection, schema)
    except (psycopg.OperationalError, psycopg.errors.InsufficientPrivilege):
        raise
    except psycopg.Error as error:
        raise PreconditionError(
            f"an event trigger ({names}) refuses what a restore does: "
            f"{error.diag.message_primary}; nothing was touched",
            disable,
        ) from error
    if reached:
        raise PreconditionError(
            f"an event trigger ({names}) writes to {', '.join(reached)} whenever a table is made "
            "or moved, and a restore touches nothing that is not Archon's",
            disable,
        )


def _move_a_table(connection: Connection, schema: str) -> tuple[str, ...]:
    place, table = sql.Identifier(schema), sql.Identifier(schema, _TABLE)
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(place))
    connection.execute(sql.SQL("CREATE TABLE {} (id integer)").format(table))
    oid = scalar(connection, "SELECT to_regclass(%s)::oid", table.as_string(None))
    move = sql.SQL("ALTER TABLE {} SET SCHEMA {}")
    connection.execute(move.format(table, sql.Identifier(SCHEMA)))
    connection.execute(sql.SQL("DROP SCHEMA {}").format(place))
    return touched(connection, [oid])
