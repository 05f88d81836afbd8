"""A table as a rescue needs it: columns, primary key, and which keys refer to which."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from archon_ops.postgres.fingerprint import Column, tables
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.session import Connection

Name = tuple[str, str]
# What a deletion does to rows that refer to the deleted one.
OnDelete = Literal["nothing", "cascade", "clear"]
_ON_DELETE: dict[str, OnDelete] = {"c": "cascade", "n": "clear", "d": "clear"}


def qualified(name: Name) -> str:
    """Schema-qualified name, as people write it."""
    return f"{name[0]}.{name[1]}"


@dataclass(frozen=True)
class Relation:
    """A table that holds rows.

    Attributes:
        name: schema and table.
        columns: those that are stored and not computed, in the order of their names.
        types: column -> its type as SQL writes it.
        key: columns of the primary key, in its order; empty without one.
        required: columns that every new row must name: NOT NULL, and nothing fills them.
        fixed: identity columns that no UPDATE may set.
    """

    name: Name
    columns: tuple[Column, ...]
    types: dict[str, str]
    key: tuple[str, ...]
    required: frozenset[str]
    fixed: frozenset[str]

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of its columns."""
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True)
class Reference:
    """A foreign key."""

    constraint: str
    child: Name
    child_columns: tuple[str, ...]
    parent: Name
    parent_columns: tuple[str, ...]
    on_delete: OnDelete


def relations(connection: Connection) -> dict[Name, Relation]:
    """All tables that hold rows of their own; partitioned ones do not."""
    details = _columns(connection)
    keys = _keys(connection)
    found = {}
    for table in tables(connection, Scope()):
        name = (table.schema, table.name)
        columns = tuple(column for column in table.columns if not column.generated)
        types, required, fixed = details.get(name, ({}, frozenset(), frozenset()))
        found[name] = Relation(name, columns, types, keys.get(name, ()), required, fixed)
    return found


def shared(backup: Relation, live: Relation) -> tuple[Relation, Relation]:
    """Both with the columns alone that both have.

    Where a column's type differs, both are read as text: the binary forms would not compare.
    """
    both = set(backup.column_names) & set(live.column_names)
    as_text = {c for c in both if backup.types[c] != live.types[c]}

    def narrowed(relation: Relation) -> Relation:
        kept = (column for column in relation.columns if column.name in both)
        columns = (replace(c, send=None) if c.name in as_text else c for c in kept)
        return replace(relation, columns=tuple(columns))

    return narrowed(backup), narrowed(live)


def references(connection: Connection) -> tuple[Reference, ...]:
    """All foreign keys between tables that hold rows of their own."""
    rows = connection.execute(
        """
        SELECT o.conname, cn.nspname, c.relname, pn.nspname, p.relname, o.confdeltype::text,
               (SELECT array_agg(a.attname::text ORDER BY k.position)
                FROM unnest(o.conkey) WITH ORDINALITY AS k (number, position)
                JOIN pg_catalog.pg_attribute a
                  ON a.attrelid = o.conrelid AND a.attnum = k.number),
               (SELECT array_agg(a.attname::text ORDER BY k.position)
                FROM unnest(o.confkey) WITH ORDINALITY AS k (number, position)
                JOIN pg_catalog.pg_attribute a
                  ON a.attrelid = o.confrelid AND a.attnum = k.number)
        FROM pg_catalog.pg_constraint o
        JOIN pg_catalog.pg_class c ON c.oid = o.conrelid
        JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
        JOIN pg_catalog.pg_class p ON p.oid = o.confrelid
        JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
        WHERE o.contype = 'f' AND c.relkind = 'r' AND p.relkind = 'r'
        ORDER BY cn.nspname COLLATE "C", c.relname COLLATE "C", o.conname COLLATE "C"
        """
    ).fetchall()
    return tuple(
        Reference(
            constraint,
            (child_schema, child),
            tuple(columns),
            (parent_schema, parent),
            tuple(parent_columns),
            _ON_DELETE.get(action, "nothing"),
        )
        for (
            constraint,
            child_schema,
            child,
            parent_schema,
            parent,
            action,
            columns,
            parent_columns,
        ) in rows
    )


def _columns(
    connection: Connection,
) -> dict[Name, tuple[dict[str, str], frozenset[str], frozenset[str]]]:
    rows = connection.execute(
        """
        SELECT n.nspname, c.relname,
               array_agg(a.attname::text ORDER BY a.attnum),
               array_agg(pg_catalog.format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum),
               array_agg(a.attname::text) FILTER (WHERE a.attnotnull AND NOT a.atthasdef
                         AND a.attidentity = '' AND t.typdefault IS NULL),
               array_agg(a.attname::text) FILTER (WHERE a.attidentity = 'a')
        FROM pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname !~ '^pg_'
        GROUP BY 1, 2
        """
    ).fetchall()
    return {
        (schema, table): (
            dict(zip(names, types, strict=True)),
            frozenset(required or ()),
            frozenset(fixed or ()),
        )
        for schema, table, names, types, required, fixed in rows
    }


def _keys(connection: Connection) -> dict[Name, tuple[str, ...]]:
    rows = connection.execute(
        """
        SELECT n.nspname, c.relname, array_agg(a.attname::text ORDER BY k.position)
        FROM pg_catalog.pg_constraint o
        JOIN pg_catalog.pg_class c ON c.oid = o.conrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        CROSS JOIN unnest(o.conkey) WITH ORDINALITY AS k (number, position)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
        WHERE o.contype = 'p' GROUP BY 1, 2
        """
    ).fetchall()
    return {(schema, table): tuple(names) for schema, table, names in rows}
