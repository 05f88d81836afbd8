"""Schemas of ours in the live database, in which Archon's part of a dump is built and waits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from archon_ops.errors import PreconditionError
from archon_ops.postgres.scope import STAGING_PREFIX
from archon_ops.postgres.session import APPLICATION, Connection, deadline

_DROP_SECONDS = 300.0
_READY = "archon_ops ready: "
# Somebody else's schema may begin with our prefix; only a run's id makes it ours.
_NAME = f"^{STAGING_PREFIX}[0-9]{{8}}t[0-9]{{6}}z-[0-9a-f]{{4}}$"


def staging_name(run_id: str) -> str:
    """Name of the schema in which a run builds."""
    return STAGING_PREFIX + run_id.lower()


def make(connection: Connection, schema: str, owners: frozenset[str]) -> None:
    """Make an empty schema for what is built.

    Args:
        connection: session on the live database.
        schema: name of the new schema.
        owners: roles that will own something in it.
    """
    name = sql.Identifier(schema)
    with connection.transaction():
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
        for owner in sorted(owners - {connection.info.user}):
            grant = sql.SQL("GRANT USAGE, CREATE ON SCHEMA {} TO {}")
            connection.execute(grant.format(name, sql.Identifier(owner)))


@dataclass(frozen=True)
class Ready:
    """A schema that was built and proven, and waits for its switch.

    Attributes:
        schema: its name.
        sha256: of the dump that it was built from.
        labels: of everything in it.
        staying: labels of routines that stay in schema public, with their definitions.
        built_at: UTC time, RFC 3339.
    """

    schema: str
    sha256: str
    labels: frozenset[str]
    staying: Mapping[str, str]
    built_at: datetime


def mark_ready(connection: Connection, ready: Ready) -> None:
    """Remember that a schema waits for its switch: no sweep takes it then."""
    values = {
        "sha256": ready.sha256,
        "labels": sorted(ready.labels),
        "staying": dict(ready.staying),
        "built_at": ready.built_at.isoformat(),
    }
    say = sql.SQL("COMMENT ON SCHEMA {} IS {}")
    text = sql.Literal(_READY + json.dumps(values))
    connection.execute(say.format(sql.Identifier(ready.schema), text))


def waiting(connection: Connection) -> tuple[Ready, ...]:
    """Schemas that wait for their switch."""
    rows = connection.execute(
        """SELECT nspname, obj_description(oid, 'pg_namespace') FROM pg_catalog.pg_namespace
           WHERE nspname ~ %s AND starts_with(obj_description(oid, 'pg_namespace'), %s)
           ORDER BY 1""",
        [_NAME, _READY],
    ).fetchall()
    return tuple(_parsed(name, comment) for name, comment in rows)


def _parsed(name: str, comment: str) -> Ready:
    values = json.loads(comment.removeprefix(_READY))
    built_at = datetime.fromisoformat(values["built_at"])
    labels = frozenset(values["labels"])
    return Ready(name, values["sha256"], labels, dict(values["staying"]), built_at)


def drop(connection: Connection, schema: str) -> None:
    """Drop a schema of ours with all that is in it; nothing where there is none."""
    with deadline(connection, _DROP_SECONDS, f"dropping schema {schema}"):
        try:
            connection.execute(
                sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema))
            )
        except psycopg.errors.InsufficientPrivilege as error:
            raise PreconditionError(
                f"schema {schema} cannot be dropped by role {connection.info.user}: "
                f"{error.diag.message_primary}",
                f'have an administrator run: DROP SCHEMA "{schema}" CASCADE',
            ) from error


def abandoned(connection: Connection) -> tuple[str, ...]:
    """Staging schemas whose run is dead: no session bears its name any more.

    One that waits for its switch (`ready`) is not among them.
    """
    rows = connection.execute(
        """SELECT n.nspname FROM pg_catalog.pg_namespace n
           WHERE n.nspname ~ %s AND obj_description(n.oid, 'pg_namespace') IS NULL
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a
               WHERE lower(a.application_name) = lower(%s || substr(n.nspname, length(%s) + 1))
                 AND a.pid <> pg_backend_pid())
           ORDER BY 1""",
        [_NAME, f"{APPLICATION}:", STAGING_PREFIX],
    ).fetchall()
    return tuple(name for (name,) in rows)
