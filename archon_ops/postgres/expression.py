"""An expression that a user wrote: found to be one, and evaluated where it can do no harm."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import replace

import psycopg
from psycopg import sql

from archon_ops.errors import UsageError
from archon_ops.model.rescue import Key
from archon_ops.postgres.relations import Name, Relation
from archon_ops.postgres.rows import keys_where
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection, deadline, scalar, set_local

_VIEW = "archon_ops_where"
_READER = "archon_ops_reader"
# An expression is one in brackets and in a CASE; what closes either is none in the other.
_FRAMES = (
    ("SELECT 1 FROM ONLY {} WHERE (", ")"),
    ("SELECT 1 FROM ONLY {} WHERE CASE WHEN ", " THEN true END"),
)


def counted(
    connection: Connection, name: Name, condition: str | None, *, timeout: float
) -> int | None:
    """Rows of a table for which a condition is true; None where there is no such table.

    Nothing can be written by it: it is for a sandbox, and a server in recovery refuses as well.

    Args:
        connection: session on a sandbox.
        name: of the table.
        condition: what a user wrote; None for all rows.
        timeout: seconds.

    Raises:
        UsageError: it is no expression, or evaluating it fails.
    """
    table = sql.Identifier(*name)
    there = "SELECT pg_catalog.to_regclass(%s) IS NOT NULL"
    try:
        with connection.transaction(), deadline(connection, timeout, "counting the rows"):
            connection.execute("SET TRANSACTION READ ONLY")
            if not scalar(connection, there, table.as_string(connection)):
                return None
            _search_path(connection, name)
            # In brackets as well as in a CASE it is one expression, or none.
            for head, tail in ((" WHERE (", ") LIMIT 0"), (" WHERE CASE WHEN ", " THEN true END")):
                query = sql.SQL("SELECT pg_catalog.count(*) FROM {}").format(table)
                asked = sql.SQL("") if condition is None else sql.SQL(f"{head}{condition}\n{tail}")
                row = connection.execute(query + asked, binary=True).fetchone()
            return int(row[0]) if row else 0
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise _refused(error) from error


def tables_read(connection: Connection, relation: Relation, condition: str) -> frozenset[Name]:
    """Make sure that a condition is one expression over a table; which tables it reads.

    It is only parsed, as the body of a view: nothing in it is called.

    Args:
        connection: session on a sandbox.
        relation: the table.
        condition: what a user wrote.

    Raises:
        UsageError: it is no expression, more than one statement, or no condition.
    """
    if "\0" in condition:
        raise UsageError("--where holds a zero byte")
    try:
        for head, tail in _FRAMES:
            # Always rolled back, so that nothing of it stays.
            with connection.transaction(force_rollback=True):
                _search_path(connection, relation.name)
                begun = sql.SQL("CREATE TEMP VIEW {} AS " + head).format(
                    sql.Identifier(_VIEW), sql.Identifier(*relation.name)
                )
                # binary: the extended protocol, which takes one statement and no more.
                connection.execute(begun + sql.SQL(f"{condition}\n{tail}"), binary=True)
                found = _read_by_view(connection)
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise _refused(error) from error
    return found


def _read_by_view(connection: Connection) -> frozenset[Name]:
    rows = connection.execute(
        """SELECT DISTINCT n.nspname, c.relname FROM pg_catalog.pg_rewrite w
           JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass
             AND d.objid = w.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
           JOIN pg_catalog.pg_class c ON c.oid = d.refobjid AND c.relkind = 'r'
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE w.ev_class = pg_catalog.to_regclass(%s)""",
        [f"pg_temp.{_VIEW}"],
    ).fetchall()
    return frozenset((str(schema), str(table)) for schema, table in rows)


def matching(
    server: Server, database: str, relation: Relation, condition: str, *, timeout: float
) -> tuple[Key, ...]:
    """Keys of the rows for which a condition is true.

    It is evaluated in a transaction that cannot write, by a role that may only read.

    Args:
        server: a sandbox.
        database: its database.
        relation: the table.
        condition: an expression, as `tables_read` found.
        timeout: seconds.

    Raises:
        UsageError: evaluating it fails, for example because it would write.
    """
    with _reader(server, database) as connection:
        try:
            with connection.transaction():
                connection.execute("SET TRANSACTION READ ONLY")
                set_local(connection, "statement_timeout", f"{round(timeout * 1000)}ms")
                _search_path(connection, relation.name)
                return keys_where(connection, relation, condition, timeout=timeout + 5)
        except psycopg.OperationalError as error:
            if isinstance(error, psycopg.errors.QueryCanceled):
                raise UsageError(f"--where took longer than {timeout:.0f} s") from error
            raise
        except psycopg.Error as error:
            raise _refused(error) from error


@contextlib.contextmanager
def _reader(server: Server, database: str) -> Iterator[Connection]:
    """A session of a role that owns nothing and may only read."""
    name, password = f"{_READER}_{secrets.token_hex(4)}", secrets.token_urlsafe(24)
    role = sql.Identifier(name)
    address = {**server.address, "user": name}
    with server.connect(database) as connection:
        made = sql.SQL("CREATE ROLE {} LOGIN BYPASSRLS PASSWORD {}")
        connection.execute(made.format(role, sql.Literal(password)))
        _let_read(connection, role)
        try:
            reader = replace(server, address=address, secret={"password": password})
            with reader.connect(database) as reading:
                yield reading
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
            connection.execute(sql.SQL("DROP ROLE {}").format(role))


def _let_read(connection: Connection, role: sql.Identifier) -> None:
    schemas = connection.execute(
        """SELECT nspname FROM pg_catalog.pg_namespace
           WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"""
    ).fetchall()
    for (schema,) in schemas:
        for right in ("USAGE ON SCHEMA {}", "SELECT ON ALL TABLES IN SCHEMA {}"):
            grant = sql.SQL("GRANT " + right + " TO {}")
            connection.execute(grant.format(sql.Identifier(schema), role))


def _search_path(connection: Connection, name: Name) -> None:
    """People write names of the table's own schema, and Archon's functions, as they are used to."""
    names = ", ".join(sql.Identifier(s).as_string(None) for s in (name[0], "public"))
    set_local(connection, "search_path", names)


def _refused(error: psycopg.Error) -> UsageError:
    text = " ".join((error.diag.message_primary or str(error)).split())
    return UsageError(
        f"--where cannot be used: {text}",
        "it is one condition over the columns of the table: --where \"status = 'done'\"",
    )
