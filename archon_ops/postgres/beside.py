"""Move a part of a restored database into a schema of its own, and carry that to another server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from psycopg import sql

from archon_ops.errors import OpsError, PreconditionError, UsageError
from archon_ops.postgres.messages import failure
from archon_ops.postgres.relations import Name
from archon_ops.postgres.scope import KEPT_PREFIX, STAGING_PREFIX
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection, scalar

_LONGEST = 63  # bytes of a name
_OURS = (KEPT_PREFIX, STAGING_PREFIX, "pg_")
_INDEX = re.compile(r"index (?P<index>.+) on (?P<table>.+)", re.DOTALL)


def require_free(connection: Connection, schema: str) -> None:
    """Make sure that a schema can be made: nothing is ever put into one that exists.

    Raises:
        UsageError: it is no name for a schema of a user's.
        PreconditionError: it exists, or the role may not make it.
    """
    sound = schema.isprintable() and 0 < len(schema.encode()) <= _LONGEST
    if not sound or schema.startswith(_OURS) or schema == "information_schema":
        raise UsageError(f"--into {schema!r} cannot be the name of a new schema")
    if scalar(
        connection, "SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = %s", schema
    ):
        raise PreconditionError(
            f"schema {schema} exists already, and nothing is ever put over anything",
            "choose another name for --into",
        )
    if not scalar(
        connection,
        "SELECT pg_catalog.has_database_privilege(current_database(), 'CREATE')",
    ):
        raise PreconditionError(
            f"the role {connection.info.user} may not make a schema",
            "have an administrator run: GRANT CREATE ON DATABASE … TO the role",
        )


def index_entries(inventory: Mapping[str, str], tables: Iterable[Name]) -> tuple[str, ...]:
    """How the entries of these tables' indexes begin in a dump's table of contents.

    The listing does not say to which table an index belongs; the manifest does.
    """
    wanted = {_quoted(name) for name in tables}
    found = (_INDEX.fullmatch(entry) for entry in inventory)
    names = (m["index"] for m in found if m and m["table"] in wanted)
    return tuple(f"INDEX {schema} {index} " for schema, index in map(_unquoted, names))


def move_table(connection: Connection, name: Name, schema: str) -> None:
    """Move a table with its sequences, and the types of its columns that are no extension's."""
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    rows = connection.execute(
        """SELECT DISTINCT tn.nspname, t.typname, t.typtype = 'd'
           FROM pg_catalog.pg_attribute a
           JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
           JOIN pg_catalog.pg_type t ON t.oid IN (y.oid, y.typelem, y.typbasetype)
           JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
           WHERE a.attrelid = pg_catalog.to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
             AND t.typtype IN ('e', 'd') AND tn.nspname !~ '^(pg_|information_schema$)'
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                             WHERE e.classid = 'pg_catalog.pg_type'::regclass
                               AND e.objid = t.oid AND e.deptype = 'e')""",
        [_quoted(name)],
    ).fetchall()
    for type_schema, type_name, domain in rows:
        kind = "DOMAIN" if domain else "TYPE"
        _set_schema(connection, kind, (type_schema, type_name), schema)
    _set_schema(connection, "TABLE", name, schema)


def rename_schema(connection: Connection, old: str, new: str) -> None:
    """Rename a schema; extensions that lie in it stay where they are."""
    renamed = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    connection.execute(renamed.format(sql.Identifier(old), sql.Identifier(new)))
    extensions = connection.execute(
        """SELECT e.extname FROM pg_catalog.pg_extension e
           JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE n.nspname = %s""",
        [new],
    ).fetchall()
    if extensions:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(old)))
    for (extension,) in extensions:
        _set_schema(connection, "EXTENSION", (extension,), old)


def _set_schema(connection: Connection, kind: str, name: tuple[str, ...], schema: str) -> None:
    query = sql.SQL("ALTER " + kind + " {} SET SCHEMA {}")
    connection.execute(query.format(sql.Identifier(*name), sql.Identifier(schema)))


def dump_schema(
    server: Server, database: str, schema: str, write: Callable[[bytes], None], *, timeout: float
) -> None:
    """Dump one schema in custom format, without owners and rights.

    Args:
        server: where.
        database: its database.
        schema: which schema.
        write: is given its bytes.
        timeout: seconds for the next of them.

    Raises:
        OpsError: pg_dump failed.
    """
    literal = '"' + schema.replace('"', '""') + '"'
    with server.spawn(
        "pg_dump",
        "--format=custom",
        f"--schema={literal}",
        "--no-owner",
        "--no-privileges",
        "--no-publications",
        "--no-security-labels",
        database=database,
        pipe=True,
    ) as child:
        for block in child.blocks(timeout):
            write(block)
        done = child.wait(timeout)
    if done.returncode != 0:
        error = failure(done, f"pg_dump of schema {schema} in the sandbox")
        raise OpsError(error.message, error.hint)


def _quoted(name: Name) -> str:
    """As PostgreSQL's quote_ident writes it, and as the inventory holds it."""
    return ".".join(_quote(part) for part in name)


def _quote(part: str) -> str:
    if re.fullmatch(r"[a-z_][a-z0-9_]*", part):
        return part
    return '"' + part.replace('"', '""') + '"'


def _unquoted(text: str) -> Name:
    """Schema and name of what PostgreSQL wrote, whichever of them it put in quotes."""
    parts = [m[0] for m in re.finditer(r'"(?:[^"]|"")*"|[^".]+', text)]
    schema, name = (p[1:-1].replace('""', '"') if p.startswith('"') else p for p in parts)
    return schema, name
