"""What would make the switch of a whole database fail, found before hours are spent."""

from __future__ import annotations

from psycopg import sql

from archon_ops.errors import PreconditionError
from archon_ops.postgres.session import Connection


def require_switchable(connection: Connection, database: str) -> None:
    """Make sure that this role can put another database in the place of this one.

    Raises:
        PreconditionError: it cannot; says what is in the way, and what removes it.
    """
    if statements := missing_privileges(connection, database):
        raise PreconditionError(
            f"the role {connection.info.user} may not replace database {database}",
            f"have an administrator run: {'; '.join(statements)}",
        )
    if workers := workers_in(connection, database):
        raise PreconditionError(
            f"background workers hold {database} by its name: {', '.join(workers)}",
            "a whole database cannot be switched under them: stop them first "
            "(a subscription: ALTER SUBSCRIPTION … DISABLE)",
        )
    if prepared := prepared_transactions(connection, database):
        raise PreconditionError(
            f"{database} has prepared transactions, which cannot move: {', '.join(prepared)}",
            f"end them in {database}: COMMIT PREPARED or ROLLBACK PREPARED {_literal(prepared[0])}",
        )
    if sessions := unendable_sessions(connection, database):
        raise PreconditionError(
            f"the role {connection.info.user} cannot end sessions on {database}: "
            f"{', '.join(sessions)}",
            "let them end, or have an administrator run: "
            f"GRANT pg_signal_backend TO {_identifier(connection.info.user)} (a superuser's "
            "session only a superuser can end)",
        )


def missing_privileges(connection: Connection, database: str) -> tuple[str, ...]:
    """Statements that an administrator has to run before this role can replace a database."""
    row = connection.execute(
        """SELECT r.rolsuper, r.rolcreatedb, quote_ident(r.rolname),
                  coalesce((SELECT pg_has_role(d.datdba, 'USAGE') FROM pg_catalog.pg_database d
                            WHERE d.datname = %s), true)
           FROM pg_catalog.pg_roles r WHERE r.rolname = current_user""",
        [database],
    ).fetchone()
    superuser, may_create, role, owns = row or (False, False, "?", False)
    if superuser:
        return ()
    statements = []
    if not may_create:
        statements.append(f"ALTER ROLE {role} CREATEDB")
    if not owns:
        statements.append(f"ALTER DATABASE {_identifier(database)} OWNER TO {role}")
    return tuple(statements)


def unassumable(connection: Connection, roles: tuple[str, ...]) -> tuple[str, ...]:
    """Those of these roles whose objects this role cannot create; none for a superuser."""
    rows = connection.execute(
        """SELECT rolname FROM pg_catalog.pg_roles
           WHERE rolname = ANY(%s) AND NOT pg_catalog.pg_has_role(oid, %s) ORDER BY 1""",
        # Since 16 a member may be denied the right to act as the role.
        [list(roles), "SET" if connection.info.server_version >= 160000 else "MEMBER"],
    ).fetchall()
    return tuple(name for (name,) in rows)


def workers_in(connection: Connection, database: str) -> tuple[str, ...]:
    """Background workers that hold a session on a database by its name (pg_cron, pg_net)."""
    rows = connection.execute(
        """SELECT DISTINCT backend_type FROM pg_catalog.pg_stat_activity
           WHERE datname = %s AND backend_type NOT IN
             ('client backend', 'autovacuum worker', 'parallel worker', 'walsender')""",
        [database],
    ).fetchall()
    return tuple(name for (name,) in rows)


def slots_of(connection: Connection, database: str) -> tuple[str, ...]:
    """Logical replication slots of a database; they cannot move to another."""
    rows = connection.execute(
        "SELECT slot_name FROM pg_catalog.pg_replication_slots WHERE database = %s ORDER BY 1",
        [database],
    ).fetchall()
    return tuple(name for (name,) in rows)


def prepared_transactions(connection: Connection, database: str) -> tuple[str, ...]:
    """Prepared transactions of a database; a database that has one cannot be renamed."""
    rows = connection.execute(
        "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = %s ORDER BY 1", [database]
    ).fetchall()
    return tuple(gid for (gid,) in rows)


def unendable_sessions(connection: Connection, database: str) -> tuple[str, ...]:
    """Sessions on a database that this role may not end; none for a superuser."""
    rows = connection.execute(
        """SELECT format('pid %%s (%%s)', a.pid, a.usename)
           FROM pg_catalog.pg_stat_activity a
           JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
           JOIN pg_catalog.pg_roles me ON me.rolname = current_user
           WHERE a.datname = %s AND a.pid <> pg_backend_pid() AND NOT me.rolsuper
             AND (r.rolsuper OR NOT (pg_has_role(a.usesysid, 'USAGE')
                                     OR pg_has_role('pg_signal_backend', 'USAGE')))
           ORDER BY 1""",
        [database],
    ).fetchall()
    return tuple(text for (text,) in rows)


def _identifier(name: str) -> str:
    return sql.Identifier(name).as_string(None)


def _literal(text: str) -> str:
    return sql.Literal(text).as_string(None)
