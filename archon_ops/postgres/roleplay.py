"""Act in a sandbox as a role of production's: same name, attributes and memberships."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from psycopg import sql

from archon_ops.errors import OpsError
from archon_ops.postgres import databases
from archon_ops.postgres.programs import LocalPrograms
from archon_ops.postgres.sandbox import make_roles
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection

_ATTRIBUTES = ("SUPERUSER", "INHERIT", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS")
_ADMIN = "archon_ops_admin"
_BEFORE = "archon_ops_initial"


@dataclass(frozen=True)
class Role:
    """A role as a server knows it.

    Attributes:
        name: its name.
        attributes: those of CREATE ROLE that it has ("SUPERUSER", "CREATEDB").
        memberships: roles that it is a direct member of.
        settings: its own, (name, value as stored).
    """

    name: str
    attributes: tuple[str, ...]
    memberships: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.name} ({', '.join(self.attributes) or 'no attributes'})"


def current_role(connection: Connection) -> Role:
    """The role of a session."""
    row = connection.execute(
        """SELECT r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb,
                  r.rolreplication, r.rolbypassrls, coalesce(r.rolconfig, '{}'),
                  (SELECT coalesce(array_agg(g.rolname::text ORDER BY g.rolname), '{}')
                   FROM pg_catalog.pg_auth_members m
                   JOIN pg_catalog.pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid)
           FROM pg_catalog.pg_roles r WHERE r.rolname = current_user"""
    ).fetchone()
    if row is None:
        raise OpsError("the server does not know its own role", "run it again")
    name, *has, settings, memberships = row
    attributes = tuple(a for a, there in zip(_ATTRIBUTES, has, strict=True) if there)
    pairs = tuple((s.partition("=")[0], s.partition("=")[2]) for s in settings)
    return Role(name, attributes, tuple(memberships), pairs)


def cast(server: Server, role: Role) -> tuple[Server, Server]:
    """Prepare an empty sandbox so that a role of production's acts in it.

    Returns:
        The sandbox for its administrator, and for the role.
    """
    with server.connect(databases.MAINTENANCE) as connection:
        there = current_role(connection)
        if (there.name, there.attributes) == (role.name, role.attributes):
            return server, server
        if there.name != role.name:
            password = _make(connection, role)
            return server, _as(server, role.name, password)
        # Whoever made the sandbox bears the name, and cannot have less than all rights.
        admin_password = secrets.token_urlsafe(24)
        made = sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}")
        connection.execute(made.format(sql.Identifier(_ADMIN), sql.Literal(admin_password)))
    admin = _as(server, _ADMIN, admin_password)
    with admin.connect(databases.MAINTENANCE) as connection:
        renamed = sql.SQL("ALTER ROLE {} RENAME TO {}")
        connection.execute(renamed.format(sql.Identifier(role.name), sql.Identifier(_BEFORE)))
        password = _make(connection, role)
    return admin, _as(server, role.name, password)


def _make(connection: Connection, role: Role) -> str:
    """Create the role, or give it what it lacks; its password."""
    password = secrets.token_urlsafe(24)
    make_roles(connection, (role.name, *role.memberships))
    words = (a if a in role.attributes else f"NO{a}" for a in _ATTRIBUTES)
    query = sql.SQL("ALTER ROLE {} LOGIN " + " ".join(words) + " PASSWORD {}")
    connection.execute(query.format(sql.Identifier(role.name), sql.Literal(password)))
    for group in role.memberships:
        grant = sql.SQL("GRANT {} TO {}")
        connection.execute(grant.format(sql.Identifier(group), sql.Identifier(role.name)))
    return password


def _as(server: Server, user: str, password: str) -> Server:
    """The same server for another role, its programs too."""
    programs = server.programs
    if isinstance(programs, LocalPrograms):
        programs = replace(programs, address={**programs.address, "user": user})
    else:
        from archon_ops.postgres.container_programs import ContainerPrograms

        if isinstance(programs, ContainerPrograms):
            programs = replace(programs, user=user)
    address = {**server.address, "user": user}
    return replace(server, address=address, secret={"password": password}, programs=programs)


def dress(connection: Connection, role: Role) -> None:
    """Give a session the settings with which the role's own sessions begin, instead of ours."""
    connection.execute("RESET ALL")
    for name, value in role.settings:
        connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name, value])
