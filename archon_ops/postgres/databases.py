"""Whole databases: made beside, kept, found again, dropped."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psycopg
from psycopg import sql

from archon_ops.errors import PreconditionError
from archon_ops.postgres.kept import Kept, newest_first, parse_mark
from archon_ops.postgres.scope import KEPT_PREFIX, SIDE_PREFIX
from archon_ops.postgres.session import (
    APPLICATION,
    Connection,
    application_name,
    deadline,
    scalar,
    tool_name,
)

# Renames work from any database but the two renamed, and every server has this one.
MAINTENANCE = "template1"
_DROPPING = "archon_ops: being dropped"
_GONE_SECONDS = 5.0
# A database of somebody else's may begin with our prefix; only a run's id makes it ours.
_SIDE = f"^{SIDE_PREFIX}[0-9]{{8}}t[0-9]{{6}}z-[0-9a-f]{{4}}$"


@dataclass(frozen=True)
class Locale:
    """What CREATE DATABASE has to be told so that text sorts, and files lie, as before."""

    encoding: str
    collate: str
    ctype: str
    provider: str
    icu: str | None
    tablespace: str | None = None


def exists(connection: Connection, database: str) -> bool:
    """Whether the server has a database of this name."""
    query = "SELECT count(*) FROM pg_catalog.pg_database WHERE datname = %s"
    return bool(scalar(connection, query, database))


def oid_of(connection: Connection, database: str) -> int | None:
    """The OID of a database, None where there is none."""
    row = connection.execute(
        "SELECT oid::bigint FROM pg_catalog.pg_database WHERE datname = %s", [database]
    ).fetchone()
    return None if row is None else int(row[0])


def locale_of(connection: Connection, database: str) -> Locale | None:
    """How a database stores and sorts text, and where; None where there is none of that name."""
    columns = {
        name
        for (name,) in connection.execute(
            "SELECT attname FROM pg_catalog.pg_attribute"
            " WHERE attrelid = 'pg_catalog.pg_database'::regclass AND attnum > 0"
        )
    }
    # 15 brought providers, 17 renamed their column.
    icu = (
        "datlocale"
        if "datlocale" in columns
        else "daticulocale"
        if "daticulocale" in columns
        else "NULL"
    )
    provider = "datlocprovider" if "datlocprovider" in columns else "'c'"
    row = connection.execute(
        f"""SELECT pg_encoding_to_char(encoding), datcollate, datctype, {provider}, {icu},
                   (SELECT nullif(spcname, 'pg_default') FROM pg_catalog.pg_tablespace t
                    WHERE t.oid = dattablespace)
            FROM pg_catalog.pg_database WHERE datname = %s""",
        [database],
    ).fetchone()
    return Locale(*row) if row else None


def create(connection: Connection, name: str, locale: Locale | None) -> None:
    """Make an empty database from template0, which nobody can have changed.

    Raises:
        PreconditionError: the role may not, or the name is taken.
        psycopg.errors.WrongObjectType: the server lacks that locale.
    """
    parts: list[sql.Composable] = [
        sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
    ]
    if locale:
        parts.append(
            sql.SQL("ENCODING {} LC_COLLATE {} LC_CTYPE {}").format(
                *map(sql.Literal, (locale.encoding, locale.collate, locale.ctype))
            )
        )
        if locale.provider == "i":
            parts.append(
                sql.SQL("LOCALE_PROVIDER icu ICU_LOCALE {}").format(sql.Literal(locale.icu))
            )
        elif locale.provider == "b":
            parts.append(
                sql.SQL("LOCALE_PROVIDER builtin BUILTIN_LOCALE {}").format(sql.Literal(locale.icu))
            )
        elif connection.info.server_version >= 150000:  # the cluster's default may be another
            parts.append(sql.SQL("LOCALE_PROVIDER libc"))
        if locale.tablespace:
            parts.append(sql.SQL("TABLESPACE {}").format(sql.Identifier(locale.tablespace)))
    try:
        connection.execute(sql.SQL(" ").join(parts))
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.DuplicateDatabase) as error:
        raise PreconditionError(
            f"cannot make database {name}: {error.diag.message_primary}",
            "the role needs CREATEDB: ALTER ROLE … CREATEDB",
        ) from error


def drop(connection: Connection, name: str) -> None:
    """Drop a database, ending the sessions on it; nothing where there is none."""
    with deadline(connection, 300, f"dropping database {name}"):
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


def drop_kept(connection: Connection, name: str) -> None:
    """Drop a kept database; one whose drop was cut short never comes back by an undo."""
    comment = sql.SQL("COMMENT ON DATABASE {} IS {}")
    connection.execute(comment.format(sql.Identifier(name), sql.Literal(_DROPPING)))
    drop(connection, name)


def half_dropped(connection: Connection) -> tuple[str, ...]:
    """Kept databases whose drop was cut short."""
    rows = connection.execute(
        """SELECT datname FROM pg_catalog.pg_database WHERE starts_with(datname, %s)
             AND shobj_description(oid, 'pg_database') = %s ORDER BY 1""",
        [KEPT_PREFIX, _DROPPING],
    ).fetchall()
    return tuple(name for (name,) in rows)


def side_name(run_id: str) -> str:
    """Name of the database that a run builds beside."""
    return SIDE_PREFIX + run_id.lower()


def kept_name(run_id: str) -> str:
    """Name of the database that a run takes out of service."""
    return KEPT_PREFIX + run_id.lower()


def abandoned_sides(connection: Connection) -> tuple[str, ...]:
    """Side databases whose run is dead: no session bears its name any more."""
    rows = connection.execute(
        """SELECT d.datname FROM pg_catalog.pg_database d
           WHERE d.datname ~ %s AND NOT EXISTS (
             SELECT FROM pg_catalog.pg_stat_activity a
             WHERE lower(a.application_name) = lower(%s || substr(d.datname, length(%s) + 1))
               AND a.datname IS DISTINCT FROM d.datname)
           ORDER BY 1""",
        [_SIDE, f"{APPLICATION}:", SIDE_PREFIX],
    ).fetchall()
    return tuple(name for (name,) in rows)


def end_sessions_of(connection: Connection, run_ids: tuple[str, ...]) -> int:
    """End the sessions that dead runs left on the server, and see them gone; how many they were."""
    names = [name for run in run_ids for name in (application_name(run), tool_name(run))]
    return end_sessions_named(connection, tuple(names))


def end_sessions_named(connection: Connection, applications: tuple[str, ...]) -> int:
    """End the sessions of these application names, and see them gone; how many they were."""
    names = list(applications)
    theirs = """FROM pg_catalog.pg_stat_activity
                WHERE application_name = ANY (%s) AND pid <> pg_backend_pid()"""
    count = len(
        connection.execute(f"SELECT pg_terminate_backend(pid) {theirs}", [names]).fetchall()
    )
    end = time.monotonic() + _GONE_SECONDS
    while time.monotonic() < end and connection.execute(f"SELECT {theirs}", [names]).fetchone():
        time.sleep(0.05)
    return count


def generations(connection: Connection, database: str | None = None) -> tuple[Kept, ...]:
    """Databases kept for an undo, newest first.

    Args:
        connection: session on any database.
        database: only what this one replaced; None for all.
    """
    rows = connection.execute(
        """SELECT datname, shobj_description(oid, 'pg_database'),
                  coalesce(pg_database_size(oid), 0)
           FROM pg_catalog.pg_database WHERE starts_with(datname, %s)""",
        [KEPT_PREFIX],
    ).fetchall()
    found = [kept for row in rows if (kept := parse_mark(*row))]
    return newest_first([kept for kept in found if database in (None, kept.database)])


def comment_of(connection: Connection, database: str) -> str | None:
    """The comment on a database."""
    row = connection.execute(
        """SELECT shobj_description(oid, 'pg_database') FROM pg_catalog.pg_database
           WHERE datname = %s""",
        [database],
    ).fetchone()
    return row[0] if row else None
