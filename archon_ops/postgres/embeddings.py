"""Where a database holds embeddings of pgvector, and which approximate indexes are over them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from archon_ops.model.retrieval import Search
from archon_ops.postgres.scope import Scope, relation_condition
from archon_ops.postgres.session import Connection

_COSINE = "<=>"
# Of an ivfflat index that does not say how many.
_LISTS = 100
# Types whose values can be asked with; they belong to pgvector, wherever that is installed.
_VECTOR = """t.typname IN ('vector', 'halfvec', 'sparsevec') AND EXISTS (
    SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid
      AND d.deptype = 'e' AND e.extname = 'vector')"""
# The primary key, as an array of its columns: what a row is called, in any copy of the database.
_KEY = """ARRAY(SELECT a.attname::text FROM pg_catalog.pg_constraint k
    CROSS JOIN unnest(k.conkey) WITH ORDINALITY AS u (attnum, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum
    WHERE k.conrelid = c.oid AND k.contype = 'p' ORDER BY u.place)"""


@dataclass(frozen=True)
class Embeddings:
    """Values of one table that can be searched by distance.

    Its SQL is for queries with parameters: a percent sign of a name stands doubled.

    Attributes:
        schema, table: where.
        embedding: SQL of the value: a column, or the expression that an index is over.
        operator, operator_schema: the distance.
        condition: SQL of a partial index's condition; empty without one.
        type_name: of the value, qualified, with its dimensions.
        key: columns of the primary key; empty without one.
    """

    schema: str
    table: str
    embedding: str
    operator: str
    operator_schema: str
    condition: str
    type_name: str = field(compare=False)
    key: tuple[str, ...] = field(compare=False)

    @property
    def search(self) -> Search:
        """The search by them, not answered yet."""
        return Search(self.schema, self.table, self.embedding, self.operator, self.condition)

    @property
    def relation(self) -> sql.Composed:
        """The table itself, without those that inherit from it."""
        return sql.SQL("ONLY {}").format(_name(self.schema, self.table))

    @property
    def value(self) -> sql.Composed:
        """The embedding; its text comes from PostgreSQL's own catalogue."""
        return sql.SQL("({})").format(_printed(self.embedding))

    @property
    def row(self) -> sql.Composed:
        """The key of a row, as text."""
        columns = sql.SQL(", ").join(map(_name, self.key))
        return sql.SQL("(ROW({})::text)" if len(self.key) > 1 else "({}::text)").format(columns)

    @property
    def there(self) -> sql.Composed:
        """Which rows have one."""
        condition = _printed(self.condition or "true")
        return sql.SQL("{} IS NOT NULL AND ({})").format(self.value, condition)

    @property
    def distance(self) -> sql.Composed:
        """How far a value is from the parameter."""
        operator = sql.SQL("OPERATOR({}.{})").format(
            _name(self.operator_schema), _printed(self.operator)
        )
        return sql.SQL("{} {} %s::{}").format(self.value, operator, _printed(self.type_name))


@dataclass(frozen=True)
class Index:
    """A vector index as the catalogue tells it.

    Attributes:
        relation: its name, in the schema of its table.
        definition: the statement that makes it.
        valid: whether PostgreSQL takes it for whole.
        method: ivfflat or hnsw.
        lists: of ivfflat; 0 for hnsw.
        over: what it is over.
    """

    relation: str
    definition: str
    valid: bool
    method: str
    lists: int
    over: Embeddings

    @property
    def name(self) -> str:
        """Schema-qualified name, as people write it."""
        return f"{self.over.schema}.{self.relation}"


def indexes(connection: Connection, scope: Scope) -> tuple[Index, ...]:
    """Every vector index that `scope` covers, valid or not, by name."""
    rows = connection.execute(
        f"""
        SELECT x.relname, pg_catalog.pg_get_indexdef(x.oid),
               i.indisvalid AND i.indisready, m.amname,
               CASE m.amname WHEN 'ivfflat' THEN coalesce((SELECT substr(o, 7)::integer
                   FROM unnest(x.reloptions) AS o WHERE o LIKE 'lists=%%'), {_LISTS}) ELSE 0 END,
               n.nspname, c.relname, pg_catalog.pg_get_indexdef(x.oid, 1, false),
               o.oprname, s.nspname,
               coalesce(pg_catalog.pg_get_expr(i.indpred, i.indrelid), ''),
               pg_catalog.format_type(a.atttypid, a.atttypmod), {_KEY}
        FROM pg_catalog.pg_index i
        JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
        JOIN pg_catalog.pg_am m ON m.oid = x.relam AND m.amname IN ('ivfflat', 'hnsw')
        JOIN pg_catalog.pg_class c ON c.oid = i.indrelid AND c.relkind = 'r'
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_attribute a ON a.attrelid = x.oid AND a.attnum = 1
        JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        JOIN pg_catalog.pg_opclass k ON k.oid = i.indclass[0]
        JOIN pg_catalog.pg_amop p ON p.amopfamily = k.opcfamily AND p.amoppurpose = 'o'
         AND p.amoplefttype = k.opcintype
        JOIN pg_catalog.pg_operator o ON o.oid = p.amopopr
        JOIN pg_catalog.pg_namespace s ON s.oid = o.oprnamespace
        WHERE {_VECTOR} AND {relation_condition()}
        ORDER BY n.nspname COLLATE "C", x.relname COLLATE "C"
        """,
        scope.parameters,
    ).fetchall()
    return tuple(
        Index(name, definition, valid, method, lists, _embeddings(*over))
        for name, definition, valid, method, lists, *over in rows
    )


def embeddings(connection: Connection, scope: Scope) -> tuple[Embeddings, ...]:
    """Every way to search: what a vector index is over, and by cosine each column without one."""
    indexed = dict.fromkeys(i.over for i in indexes(connection, scope) if i.valid)
    columns = {(e.schema, e.table, e.embedding) for e in indexed}
    rest = (e for e in _columns(connection, scope) if _place(e) not in columns)
    return tuple(sorted((*indexed, *rest), key=lambda e: (*_place(e), e.operator, e.condition)))


def _place(e: Embeddings) -> tuple[str, str, str]:
    return (e.schema, e.table, e.embedding)


def _columns(connection: Connection, scope: Scope) -> tuple[Embeddings, ...]:
    rows = connection.execute(
        f"""
        SELECT n.nspname, c.relname, quote_ident(a.attname), '{_COSINE}', tn.nspname, '',
               pg_catalog.format_type(a.atttypid, a.atttypmod), {_KEY}
        FROM pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
        WHERE a.attnum > 0 AND NOT a.attisdropped AND {_VECTOR} AND {relation_condition()}
        """,
        scope.parameters,
    ).fetchall()
    return tuple(_embeddings(*row) for row in rows)


def _embeddings(*values: Any) -> Embeddings:
    schema, table, embedding, operator, operator_schema, condition, type_name, key = values
    return Embeddings(
        schema, table, embedding, operator, operator_schema, condition, type_name, tuple(key)
    )


def _name(*parts: str) -> sql.Identifier:
    return sql.Identifier(*(part.replace("%", "%%") for part in parts))


def _printed(text: str) -> sql.Composed:
    """SQL that PostgreSQL printed itself."""
    return sql.Composed([sql.SQL(text.replace("%", "%%"))])
