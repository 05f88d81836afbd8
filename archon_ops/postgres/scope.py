"""Which objects of a database a backup covers: one SQL condition, used by every catalogue query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from archon_ops.errors import UsageError
from archon_ops.postgres.session import Connection

# Databases and schemas that a restore makes for itself, and what undo goes back to.
KEPT_PREFIX = "archon_before_"
SIDE_PREFIX = "archon_side_"
STAGING_PREFIX = "archon_staging_"

# Schemas that belong to the server, and ours.
_SCHEMAS = f"""
    n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT starts_with(n.nspname, '{KEPT_PREFIX}')
    AND NOT starts_with(n.nspname, '{STAGING_PREFIX}')
"""


@dataclass(frozen=True)
class Scope:
    """What is left out of a backup, as exact names.

    Attributes:
        schemas: excluded schemas.
        tables: excluded tables as (schema, table).
        only: nothing but these relations, as (schema, name), wherever they are; None for all.
    """

    schemas: tuple[str, ...] = ()
    tables: tuple[tuple[str, str], ...] = ()
    only: tuple[tuple[str, str], ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What is not covered, as people write it."""
        return (*(f"schema {s}" for s in self.schemas), *(f"table {s}.{t}" for s, t in self.tables))

    @property
    def parameters(self) -> dict[str, Any]:
        """Values for `condition()`."""
        return {
            "no_schemas": list(self.schemas),
            "no_tables_schemas": [schema for schema, _ in self.tables],
            "no_tables": [table for _, table in self.tables],
            "all": self.only is None,
            "only_schemas": [schema for schema, _ in self.only or ()],
            "only_tables": [table for _, table in self.only or ()],
        }

    @property
    def dump_arguments(self) -> tuple[str, ...]:
        """The same for pg_dump; quoted names are literals in its patterns."""
        return (
            f"--exclude-schema={KEPT_PREFIX}*",
            f"--exclude-schema={STAGING_PREFIX}*",
            *(f"--exclude-schema={_literal(s)}" for s in self.schemas),
            *(f"--exclude-table={_literal(s)}.{_literal(t)}" for s, t in self.tables),
        )


def schema_condition() -> str:
    """SQL over alias `n` (pg_namespace): schemas that the backup covers."""
    return f"{_SCHEMAS} AND n.nspname <> ALL(%(no_schemas)s)"


def member_condition(catalogue: str, oid: str) -> str:
    """SQL that leaves out what an extension brings along: pg_dump leaves it to the extension."""
    return f"""NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
        WHERE e.classid = 'pg_catalog.{catalogue}'::pg_catalog.regclass
          AND e.objid = {oid} AND e.deptype = 'e')"""


def relation_condition() -> str:
    """SQL over aliases `n` and `c` (pg_class): relations that the backup covers."""
    covered = f"""{schema_condition()} AND {member_condition("pg_class", "c.oid")}
        AND NOT EXISTS (
            SELECT FROM unnest(%(no_tables_schemas)s::text[], %(no_tables)s::text[]) AS x (s, t)
            WHERE x.s = n.nspname AND x.t = c.relname)"""
    named = """EXISTS (
            SELECT FROM unnest(%(only_schemas)s::text[], %(only_tables)s::text[]) AS x (s, t)
            WHERE x.s = n.nspname AND x.t = c.relname)"""
    return f"(%(all)s AND {covered} OR NOT %(all)s AND {named})"


def resolve(connection: Connection, schemas: tuple[str, ...], tables: tuple[str, ...]) -> Scope:
    """Turn configured names into exact ones.

    Args:
        connection: session on the database.
        schemas: names of schemas.
        tables: names of tables, `schema.table` or, in public, just `table`.

    Raises:
        UsageError: a name fits nothing: a typing error must not pass as an exclusion.
    """
    for schema in schemas:
        if not _exists(
            connection, "SELECT FROM pg_catalog.pg_namespace WHERE nspname = %s", schema
        ):
            raise UsageError(
                f"no schema {schema!r} to exclude", "list them with: inv psql --command '\\dn'"
            )
    pairs = []
    for table in tables:
        found = _tables_named(connection, table)
        if not found:
            raise UsageError(f"no table {table!r} to exclude", "write it as schema.table")
        if len(found) > 1:
            raise UsageError(
                f"{table!r} names {len(found)} tables, because names here hold dots",
                "exclude the schema of the one that is meant with --exclude-schema",
            )
        pairs.extend(found)
    return Scope(tuple(schemas), tuple(pairs))


def _tables_named(connection: Connection, table: str) -> list[tuple[str, str]]:
    """What `schema.table` or, in public, `table` can mean: names may hold dots themselves."""
    rows = connection.execute(
        """SELECT n.nspname, c.relname FROM pg_catalog.pg_class c
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
             AND (n.nspname || '.' || c.relname = %s
                  OR (n.nspname = 'public' AND c.relname = %s))""",
        [table, table],
    ).fetchall()
    return [(str(schema), str(name)) for schema, name in rows]


def _exists(connection: Connection, query: str, *values: str) -> bool:
    return connection.execute(query, list(values)).fetchone() is not None


def _literal(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
