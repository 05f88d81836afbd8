"""What this role lacks to move Archon's objects, as the statements that would give it."""

from __future__ import annotations

from psycopg import sql

from archon_ops.postgres.archon.objects import SCHEMA, Things, printed
from archon_ops.postgres.archon.publications import memberships
from archon_ops.postgres.session import Connection


def missing_privileges(
    connection: Connection, things: Things, owners: frozenset[str], shared: frozenset[str]
) -> tuple[str, ...]:
    """Statements that an administrator has to run before this role can do it; none for a superuser.

    Args:
        connection: session on the live database, as the role in question.
        things: Archon's objects that have to leave.
        owners: roles that will own what comes.
        shared: labels of routines that have to be replaced where they are.
    """
    row = connection.execute(
        """SELECT r.rolsuper, r.rolname,
                  has_database_privilege(current_database(), 'CREATE'),
                  has_schema_privilege(%s, 'CREATE') AND has_schema_privilege(%s, 'USAGE')
           FROM pg_catalog.pg_roles r WHERE r.rolname = current_user""",
        [SCHEMA, SCHEMA],
    ).fetchone()
    superuser, me, in_database, in_schema = row or (False, "?", False, False)
    if superuser:
        return ()
    role = sql.Identifier(me)
    here = sql.Identifier(str(connection.info.dbname))
    lacking: list[sql.Composed] = []
    if not in_database:
        lacking.append(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(here, role))
    if not in_schema:
        grant = sql.SQL("GRANT USAGE, CREATE ON SCHEMA {} TO {}")
        lacking.append(grant.format(sql.Identifier(SCHEMA), role))
    closed = _closed(connection, owners | {thing.owner for thing in things.all}, "USAGE")
    for thing in things.movable:
        if thing.owner in closed and (thing.kind != "ROUTINE" or thing.label not in shared):
            name = f"{thing.kind} {SCHEMA}.{thing.name}"
            lacking.append(sql.SQL("ALTER {} OWNER TO {}").format(printed(name), role))
    for member in memberships(connection, things):
        if not member.changeable:
            publication = sql.Identifier(member.publication)
            lacking.append(sql.SQL("ALTER PUBLICATION {} OWNER TO {}").format(publication, role))
    # Since 16 a member may be denied the right to act as the role.
    how = "SET" if connection.info.server_version >= 160000 else "MEMBER"
    for owner in sorted(_closed(connection, owners, how)):
        lacking.append(sql.SQL("GRANT {} TO {}").format(sql.Identifier(owner), role))
    return tuple(dict.fromkeys(statement.as_string(None) for statement in lacking))


def _closed(connection: Connection, roles: frozenset[str], how: str) -> frozenset[str]:
    """Those of these roles as whom this role cannot act."""
    rows = connection.execute(
        """SELECT rolname FROM pg_catalog.pg_roles
           WHERE rolname = ANY (%s) AND NOT pg_catalog.pg_has_role(oid, %s)""",
        [list(roles), how],
    ).fetchall()
    return frozenset(name for (name,) in rows)


def assumable(connection: Connection) -> frozenset[str]:
    """Roles as whom this role can act."""
    how = "SET" if connection.info.server_version >= 160000 else "MEMBER"
    rows = connection.execute(
        "SELECT rolname FROM pg_catalog.pg_roles WHERE pg_catalog.pg_has_role(oid, %s)", [how]
    ).fetchall()
    return frozenset(name for (name,) in rows)
