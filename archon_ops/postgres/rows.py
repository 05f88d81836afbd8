"""Rows of one table, by primary key: their digests, who refers to them, and their way across."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from psycopg import sql

from archon_ops.model.rescue import Key
from archon_ops.postgres.fingerprint import row_digest, row_values
from archon_ops.postgres.relations import Name, Reference, Relation, qualified
from archon_ops.postgres.session import Connection, deadline

_BATCH = 5000


def digests(
    connection: Connection,
    relation: Relation,
    keys: Iterable[Key] | None = None,
    *,
    source: Name | None = None,
    timeout: float,
) -> Iterator[tuple[Key, str]]:
    """Key and digest of rows, over the columns that `relation` names.

    Args:
        connection: session on the database.
        relation: the table.
        keys: only rows of these keys; None for all.
        source: another table of the same columns to read them from.
        timeout: seconds for all of it.
    """
    if keys is None:
        yield from _digests(connection, relation, None, source, timeout)
        return
    for batch in batches(keys):
        yield from _digests(connection, relation, batch, source, timeout)


def _digests(
    connection: Connection,
    relation: Relation,
    keys: Sequence[Key] | None,
    source: Name | None,
    timeout: float,
) -> Iterator[tuple[Key, str]]:
    texts = sql.SQL(", ").join(
        sql.SQL("t.{}::text AS {}").format(sql.Identifier(name), sql.Identifier(f"k{i}"))
        for i, name in enumerate(relation.key)
    )
    query = sql.SQL(
        "SELECT {keys}, encode({digest}, 'hex') FROM"
        " (SELECT {texts}, {values} FROM ONLY {table} AS t{chosen} OFFSET 0) AS v"
    ).format(
        keys=sql.SQL(", ").join(sql.Identifier(f"k{i}") for i in range(len(relation.key))),
        digest=row_digest(relation.columns),
        texts=texts,
        values=row_values(relation.columns),
        table=sql.Identifier(*(source or relation.name)),
        chosen=_among(relation, "t", keys) if keys is not None else sql.SQL(""),
    )
    name = qualified(relation.name)
    with deadline(connection, timeout, f"reading rows of {name}"), connection.cursor() as cursor:
        for row in cursor.stream(query):
            yield tuple(row[:-1]), row[-1]


def keys_where(
    connection: Connection, relation: Relation, condition: str, *, timeout: float
) -> tuple[Key, ...]:
    """Keys of the rows for which an expression is true.

    The expression was already found to be one (`expression.check`).
    """
    query = sql.SQL("SELECT {} FROM ONLY {} WHERE (").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(k)) for k in relation.key),
        sql.Identifier(*relation.name),
    )
    # binary: the extended protocol, which takes one statement and no more.
    with deadline(connection, timeout, "evaluating --where"), connection.cursor() as cursor:
        cursor.execute(query + sql.SQL(f"{condition}\n)"), binary=True)
        return tuple(cursor.fetchall())


def children_of(
    connection: Connection,
    reference: Reference,
    child: Relation,
    parent: Relation,
    keys: Iterable[Key],
    *,
    timeout: float,
) -> tuple[Key, ...]:
    """Keys of the rows of `child` that refer to these rows of `parent`."""
    return _linked(connection, reference, child, parent, keys, timeout, children=True)


def parents_of(
    connection: Connection,
    reference: Reference,
    child: Relation,
    parent: Relation,
    keys: Iterable[Key],
    *,
    timeout: float,
) -> tuple[Key, ...]:
    """Keys of the rows of `parent` that these rows of `child` refer to."""
    return _linked(connection, reference, child, parent, keys, timeout, children=False)


def _linked(
    connection: Connection,
    reference: Reference,
    child: Relation,
    parent: Relation,
    keys: Iterable[Key],
    timeout: float,
    *,
    children: bool,
) -> tuple[Key, ...]:
    known, its_alias = (parent, "p") if children else (child, "c")
    answer, alias = (child, "c") if children else (parent, "p")
    joined = sql.SQL(
        "SELECT DISTINCT {answer} FROM ONLY {child} AS c JOIN ONLY {parent} AS p ON {on}"
    ).format(
        answer=sql.SQL(", ").join(
            sql.SQL("{}::text").format(sql.Identifier(alias, k)) for k in answer.key
        ),
        child=sql.Identifier(*reference.child),
        parent=sql.Identifier(*reference.parent),
        on=sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("c", c), sql.Identifier("p", p))
            for c, p in zip(reference.child_columns, reference.parent_columns, strict=True)
        ),
    )
    found: dict[Key, None] = {}
    doing = f"following {reference.constraint} of {qualified(reference.child)}"
    for batch in batches(keys):
        with deadline(connection, timeout, doing):
            chosen = _among(known, its_alias, batch)
            rows = connection.execute(joined + chosen).fetchall()
        found.update(dict.fromkeys(map(tuple, rows)))
    return tuple(found)


def fetch(connection: Connection, relation: Relation, keys: Iterable[Key]) -> Iterator[bytes]:
    """Rows of these keys, in COPY's text form: the same under every major version."""
    for batch in batches(keys):
        query = sql.SQL("COPY (SELECT {} FROM ONLY {} AS t{}) TO STDOUT").format(
            sql.SQL(", ").join(sql.Identifier("t", c) for c in relation.column_names),
            sql.Identifier(*relation.name),
            _among(relation, "t", batch),
        )
        with connection.cursor() as cursor, cursor.copy(query) as copy:
            for block in copy:
                yield bytes(block)


def batches(keys: Iterable[Key]) -> Iterator[Sequence[Key]]:
    """Keys in portions that a server takes at once."""
    every = list(keys)
    for start in range(0, len(every), _BATCH):
        yield every[start : start + _BATCH]


def _among(relation: Relation, alias: str, keys: Sequence[Key]) -> sql.Composable:
    """WHERE that keeps the rows of given keys; literals, because COPY takes no parameters."""
    names = [sql.Identifier(f"w{i}") for i in range(len(relation.key))]
    arrays = (
        sql.SQL("{}::text[]").format(sql.Literal([key[i] for key in keys]))
        for i in range(len(relation.key))
    )
    return sql.SQL(" WHERE ({}) IN (SELECT {} FROM unnest({}) AS w ({}))").format(
        sql.SQL(", ").join(sql.Identifier(alias, name) for name in relation.key),
        sql.SQL(", ").join(
            sql.SQL("w.{}::{}").format(name, sql.SQL(relation.types[column]))
            for name, column in zip(names, relation.key, strict=True)
        ),
        sql.SQL(", ").join(arrays),
        sql.SQL(", ").join(names),
    )
