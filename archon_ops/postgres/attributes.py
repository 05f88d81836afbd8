"""What belongs to a database itself and no dump of its content holds: owner, rights, settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from psycopg import sql

from archon_ops.errors import OpsError
from archon_ops.postgres.session import Connection

# PostgreSQL stores the values of these as lists of quoted names; given as one literal, the list
# would become one odd name.
_LISTS = frozenset(
    {
        "search_path",
        "temp_tablespaces",
        "session_preload_libraries",
        "local_preload_libraries",
    }
)
_NAME_IN_LIST = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,"]*))\s*(?:,|$)')
# "app_role CONNECT grantable, public TEMPORARY": a role's name may hold blanks and commas.
_RIGHT = re.compile(r"(.+?) (CONNECT|CREATE|TEMPORARY)( grantable)?(?:, |$)", re.DOTALL)
_SETTING = re.compile(r"setting (\S+)(?: of role (.+))?", re.DOTALL)
# Supabase keeps its JWT secret in a setting of the database; a manifest is no place for it.
_SECRET = re.compile(r"secret|passw|token|credential|private|key\b", re.IGNORECASE)
WITHHELD = "(withheld: by its name it is a secret)"


@dataclass(frozen=True)
class Right:
    """Who may do what: `grantee` None is everybody."""

    grantee: str | None
    privilege: str
    grantable: bool


@dataclass(frozen=True)
class Setting:
    """ALTER DATABASE … SET, or, with a role, ALTER ROLE … IN DATABASE … SET."""

    role: str | None
    name: str
    value: str


@dataclass(frozen=True)
class Attributes:
    """All that is to be carried over.

    Attributes:
        owner: role that owns the database.
        connection_limit: how many may connect; -1 for any number.
        rights: None where they are PostgreSQL's default.
        settings: of the database, and of roles in it.
    """

    owner: str
    connection_limit: int
    rights: tuple[Right, ...] | None
    settings: tuple[Setting, ...]


def read(connection: Connection, database: str) -> Attributes:
    """The attributes of a live database.

    Raises:
        OpsError: there is none of that name.
    """
    row = connection.execute(
        """SELECT pg_get_userbyid(datdba), datconnlimit, datacl IS NULL
           FROM pg_catalog.pg_database WHERE datname = %s""",
        [database],
    ).fetchone()
    if row is None:
        raise OpsError(f"database {database} has vanished", "inv undo --list")
    owner, limit, default_rights = row
    rights = None if default_rights else _rights(connection, database)
    return Attributes(owner, limit, rights, _settings(connection, database))


def _rights(connection: Connection, database: str) -> tuple[Right, ...]:
    rows = connection.execute(
        """SELECT CASE x.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(x.grantee) END,
                  x.privilege_type, x.is_grantable
           FROM pg_catalog.pg_database d, aclexplode(d.datacl) x WHERE d.datname = %s""",
        [database],
    ).fetchall()
    return tuple(Right(*row) for row in rows)


def _settings(connection: Connection, database: str) -> tuple[Setting, ...]:
    rows = connection.execute(
        """SELECT CASE s.setrole WHEN 0 THEN NULL ELSE pg_get_userbyid(s.setrole) END, x
           FROM pg_catalog.pg_db_role_setting s
           JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
           CROSS JOIN unnest(s.setconfig) AS x WHERE d.datname = %s""",
        [database],
    ).fetchall()
    return tuple(Setting(role, *text.split("=", 1)) for role, text in rows)


def from_manifest(values: Mapping[str, str]) -> Attributes | None:
    """Those of a database that is gone, as its backup noted them; None where it did not."""
    if "owner" not in values:
        return None
    rights = tuple(
        Right(None if who == "public" else who, what, bool(grantable))
        for who, what, grantable in _RIGHT.findall(values.get("rights", ""))
    )
    settings = tuple(
        Setting(match[2], match[1], value)
        for key, value in values.items()
        if value != WITHHELD and (match := _SETTING.fullmatch(key))
    )
    return Attributes(values["owner"], int(values.get("connection limit", -1)), rights, settings)


def without_secrets(values: Mapping[str, str]) -> dict[str, str]:
    """What a manifest may hold of a database's attributes."""
    return {
        key: WITHHELD if key.startswith("setting ") and _SECRET.search(key) else value
        for key, value in values.items()
    }


def withheld(values: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the settings whose values a manifest does not hold."""
    return tuple(key.removeprefix("setting ") for key, value in values.items() if value == WITHHELD)


def apply(connection: Connection, database: str, attributes: Attributes) -> None:
    """Give them to a database that has those it was made with.

    Raises:
        PreconditionError: the role may not.
    """
    name = sql.Identifier(database)
    owner = sql.Identifier(attributes.owner)
    connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, owner))
    limit = sql.Literal(attributes.connection_limit)
    connection.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, limit))
    if attributes.rights is not None:
        # Without this PUBLIC and the owner would keep the rights that they begin with.
        revoke = sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC, {}")
        connection.execute(revoke.format(name, owner))
        for right in attributes.rights:
            connection.execute(_grant(name, right))
    for setting in attributes.settings:
        connection.execute(_set(name, setting))


def _grant(database: sql.Identifier, right: Right) -> sql.Composed:
    return sql.SQL("GRANT {} ON DATABASE {} TO {} {}").format(
        sql.SQL(right.privilege),
        database,
        sql.SQL("PUBLIC") if right.grantee is None else sql.Identifier(right.grantee),
        sql.SQL("WITH GRANT OPTION" if right.grantable else ""),
    )


def _set(database: sql.Identifier, setting: Setting) -> sql.Composed:
    who = (
        sql.SQL("DATABASE {}").format(database)
        if setting.role is None
        else sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(setting.role), database)
    )
    name = sql.SQL(".").join(map(sql.Identifier, setting.name.split(".")))
    values = tuple(_names(setting.value)) if setting.name in _LISTS else (setting.value,)
    value = sql.SQL(", ").join(map(sql.Literal, values))
    return sql.SQL("ALTER {} SET {} TO {}").format(who, name, value)


def _names(stored: str) -> Iterator[str]:
    """The members of a stored list: `"$user", public, "a,b"`."""
    at = 0
    while at < len(stored) and (match := _NAME_IN_LIST.match(stored, at)):
        quoted, plain = match.groups()
        yield quoted.replace('""', '"') if quoted is not None else plain.strip()
        at = match.end()
