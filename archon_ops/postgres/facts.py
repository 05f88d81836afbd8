"""Facts of a server and of a database that plans, manifests and proofs are made of."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from archon_ops.model.backup import ServerFacts, TableSize
from archon_ops.postgres.scope import (
    Scope,
    member_condition,
    relation_condition,
    schema_condition,
)
from archon_ops.postgres.session import Connection, scalar

ARCHON_TABLES = "archon\\_%"


def version_num(connection: Connection) -> int:
    """The server's version as one number: 150018 is 15.18."""
    return int(scalar(connection, "SELECT current_setting('server_version_num')"))


def system_identifier(connection: Connection) -> str:
    """Identity of the cluster: drawn by initdb, the same in all its copies."""
    return str(scalar(connection, "SELECT system_identifier FROM pg_catalog.pg_control_system()"))


def data_directory(connection: Connection) -> str | None:
    """Where the server has its files; None where the role may not see that."""
    row = connection.execute(
        "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'"
    ).fetchone()
    return str(row[0]) if row else None


def server_facts(connection: Connection, kind: str, host: str) -> ServerFacts:
    """What a manifest says of the server and database that the session is on."""
    row = connection.execute(
        """SELECT current_setting('server_version'), d.datname, d.oid::bigint,
                  pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype
           FROM pg_catalog.pg_database d WHERE d.datname = current_database()"""
    ).fetchone()
    assert row is not None  # noqa: S101 - the session's own database exists
    version, database, oid, encoding, collate, ctype = row
    return ServerFacts(
        kind=kind,
        host=host,
        version=version,
        major=version_num(connection) // 10000,
        system_identifier=system_identifier(connection),
        database=database,
        database_oid=oid,
        encoding=encoding,
        collate=collate,
        ctype=ctype,
    )


def archon_tables(connection: Connection) -> tuple[str, ...]:
    """Names of the tables archon_* in schema public."""
    rows = connection.execute(
        """SELECT c.relname FROM pg_catalog.pg_class c
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname LIKE %s
           ORDER BY c.relname COLLATE "C" """,
        [ARCHON_TABLES],
    ).fetchall()
    return tuple(name for (name,) in rows)


def migration_head(connection: Connection) -> str | None:
    """The newest applied migration, "version/name"; None without that table or without a row."""
    return next(iter(migrations(connection)), None)


def migrations(connection: Connection) -> tuple[str, ...]:
    """Every applied migration as "version/name", newest first; none without that table."""
    columns = {
        name
        for (name,) in connection.execute(
            """SELECT attname FROM pg_catalog.pg_attribute
               WHERE attrelid = to_regclass('public.archon_migrations') AND attnum > 0"""
        )
    }
    if not {"version", "migration_name", "applied_at"} <= columns:
        return ()
    rows = connection.execute(
        """SELECT version || '/' || migration_name FROM public.archon_migrations
           ORDER BY applied_at DESC, version DESC, migration_name DESC"""
    ).fetchall()
    return tuple(str(name) for (name,) in rows)


def table_sizes(connection: Connection, scope: Scope) -> tuple[TableSize, ...]:
    """Bytes on disk of every covered table; heap, index and TOAST add up to the total."""
    rows = connection.execute(
        f"""
        SELECT n.nspname, c.relname,
               pg_total_relation_size(c.oid) - pg_indexes_size(c.oid)
                 - coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0),
               pg_indexes_size(c.oid),
               coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0),
               pg_total_relation_size(c.oid)
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND {relation_condition()} ORDER BY 1, 2
        """,
        scope.parameters,
    ).fetchall()
    return tuple(TableSize(*row) for row in rows)


def database_bytes(connection: Connection) -> int:
    """Bytes on disk of the session's database."""
    return int(scalar(connection, "SELECT pg_database_size(current_database())"))


def roles_named(connection: Connection) -> tuple[str, ...]:
    """Roles that own something in this database or are named by its rights and policies."""
    rows = connection.execute(
        """SELECT DISTINCT r.rolname FROM pg_catalog.pg_roles r WHERE r.oid IN (
             SELECT s.refobjid FROM pg_catalog.pg_shdepend s
             JOIN pg_catalog.pg_database d ON d.datname = current_database()
             WHERE s.refclassid = 'pg_authid'::regclass
               AND (s.dbid = d.oid OR (s.dbid = 0 AND s.objid = d.oid))
             UNION SELECT nspowner FROM pg_catalog.pg_namespace
             UNION SELECT relowner FROM pg_catalog.pg_class WHERE oid >= 16384
             UNION SELECT datdba FROM pg_catalog.pg_database WHERE datname = current_database())
           AND r.rolname !~ '^pg_' ORDER BY 1"""
    ).fetchall()
    return tuple(name for (name,) in rows)


@dataclass(frozen=True)
class Unreadable:
    """A schema or table that the role cannot read whole, and why."""

    name: str
    reason: str


def unreadable(connection: Connection, scope: Scope) -> tuple[Unreadable, ...]:
    """What would stop a dump, or worse, leave rows out of it."""
    rows = connection.execute(
        f"""
        SELECT format('%%I.%%I', n.nspname, c.relname),
          CASE WHEN NOT has_schema_privilege(n.oid, 'USAGE')
                 THEN 'no USAGE on schema ' || quote_ident(n.nspname)
               WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN 'no SELECT'
               ELSE 'row level security would hide rows: the role needs BYPASSRLS' END
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'm', 'S') AND {relation_condition()}
          AND (NOT has_schema_privilege(n.oid, 'USAGE')
               OR NOT has_table_privilege(c.oid, 'SELECT')
               OR (c.relkind IN ('r', 'p') AND row_security_active(c.oid)))
        ORDER BY 1
        """,
        scope.parameters,
    ).fetchall()
    return tuple(Unreadable(*row) for row in rows)


def database_attributes(connection: Connection, database: str) -> dict[str, str]:
    """What belongs to the database itself and is in no dump of its content."""
    row = connection.execute(
        """SELECT pg_get_userbyid(datdba), datconnlimit::text, datallowconn::text,
                  (SELECT coalesce(string_agg(concat_ws(' ', CASE x.grantee WHEN 0 THEN 'public'
                     ELSE pg_get_userbyid(x.grantee) END, x.privilege_type,
                     CASE WHEN x.is_grantable THEN 'grantable' END), ', ' ORDER BY 1), '')
                   FROM (SELECT * FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba)))
                         ORDER BY grantee, privilege_type) AS x),
                  coalesce(shobj_description(d.oid, 'pg_database'), ''),
                  pg_encoding_to_char(d.encoding), d.datcollate, d.datctype
           FROM pg_catalog.pg_database d WHERE datname = %s""",
        [database],
    ).fetchone()
    if row is None:
        return {}
    names = (
        "owner",
        "connection limit",
        "allows connections",
        "rights",
        "comment",
        "encoding",
        "collate",
        "ctype",
    )
    return {**dict(zip(names, row, strict=True)), **_settings(connection, database)}


def _settings(connection: Connection, database: str) -> dict[str, str]:
    """ALTER DATABASE … SET and ALTER ROLE … IN DATABASE … SET."""
    rows = connection.execute(
        """SELECT CASE s.setrole WHEN 0 THEN ''
                    ELSE ' of role ' || pg_get_userbyid(s.setrole) END, x
           FROM pg_catalog.pg_db_role_setting s
           JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
           CROSS JOIN unnest(s.setconfig) AS x WHERE d.datname = %s""",
        [database],
    ).fetchall()
    return {f"setting {x.partition('=')[0]}{role}": x.partition("=")[2] for role, x in rows}


def holders(connection: Connection, tables: tuple[str, ...] | None = None) -> str:
    """Which sessions hold, or wait for, a lock on a table that keeps readers out, on one line.

    Args:
        connection: session on the database.
        tables: only these, in schema public; None for all but the catalogue's.
    """
    rows: list[Any] = connection.execute(
        """SELECT DISTINCT a.pid, coalesce(a.usename, '?'), coalesce(a.application_name, ''),
                  a.state, date_trunc('second', now() - a.xact_start)::text,
                  format('%%I.%%I', n.nspname, c.relname) AS relation
           FROM pg_catalog.pg_locks l
           JOIN pg_catalog.pg_class c ON c.oid = l.relation
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
           WHERE l.mode = 'AccessExclusiveLock' AND c.relkind IN ('r', 'p', 'm')
             AND CASE WHEN %(tables)s::text[] IS NULL THEN n.nspname !~ '^pg_'
                      ELSE n.nspname = 'public' AND c.relname = ANY (%(tables)s) END
             AND l.database = (SELECT oid FROM pg_catalog.pg_database
                               WHERE datname = current_database())
             AND a.pid <> pg_backend_pid()
           ORDER BY relation, a.pid LIMIT 3""",
        {"tables": None if tables is None else list(tables)},
    ).fetchall()
    return "; ".join(f"{row[5]} is held by {_session_text(*row[:5])}" for row in rows)


def _session_text(pid: int, user: str, application: str, state: str | None, age: str | None) -> str:
    program = f" {application}" if application else ""
    return f"pid {pid} ({user}{program}, {state or 'unknown'} for {age or '?'})"


def lock_tables(connection: Connection, tables: tuple[str, ...]) -> None:
    """Share-lock Archon's tables inside the running transaction, in a fixed order."""
    names = sql.SQL(", ").join(sql.Identifier("public", table) for table in sorted(tables))
    if tables:
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(names))


def is_empty(connection: Connection) -> bool:
    """Whether a database holds no table, view or function of anybody's."""
    row = connection.execute(
        f"""SELECT EXISTS (SELECT FROM pg_catalog.pg_class c
                           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                           WHERE {relation_condition()})
                   OR EXISTS (SELECT FROM pg_catalog.pg_proc f
                              JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace
                              WHERE {schema_condition()}
                                AND {member_condition("pg_proc", "f.oid")})""",
        Scope().parameters,
    ).fetchone()
    return row == (False,)


def has_rows(connection: Connection, table: str) -> bool:
    """Whether a table in schema public holds a row that this session may see."""
    query = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier("public", table))
    try:
        return bool(scalar(connection, query))
    except psycopg.errors.InsufficientPrivilege:
        return True  # the check of rights, not this one, has to name it


def wait_for_migration(connection: Connection, tables: tuple[str, ...], seconds: float) -> str:
    """Wait until nobody holds Archon's tables exclusively.

    Returns:
        Who still does after `seconds`; empty when nobody does.
    """
    until = time.monotonic() + seconds
    while who := holders(connection, tables):
        if time.monotonic() > until:
            return who
        time.sleep(0.2)
    return ""


def file_nodes(connection: Connection, scope: Scope) -> dict[str, int]:
    """The file that holds each covered table's rows now; TRUNCATE and rewrites give it another."""
    rows = connection.execute(
        f"""
        SELECT format('%%I.%%I', n.nspname, c.relname), pg_relation_filenode(c.oid)::bigint
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND {relation_condition()}
        """,
        scope.parameters,
    ).fetchall()
    return {name: node for name, node in rows if node is not None}
