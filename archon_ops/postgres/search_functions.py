"""Call Archon's search functions on a restored database: do they run, and answer rows that exist?

Only ever on a restored database: its making ran the dump's code already, while on the live one a
function that somebody put there would run with our rights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

from archon_ops.model.retrieval import NEIGHBOURS, FunctionLook
from archon_ops.postgres.session import Connection, deadline, set_local

# The forms that take no dimension search by the column of this one.
_DEFAULT_DIMENSION = 1536
_PREFIXES = ("match_", "hybrid_search_")
_REST = "\\_archon\\_%"
_TEXT = "how to search the documentation"

# table -> dimension -> an embedding of one of its rows, as text
Samples = Mapping[str, Mapping[int, str]]


@dataclass(frozen=True)
class Function:
    """A search function.

    Attributes:
        identity: name and types of its arguments, qualified.
        name: of itself, in schema public.
        table: what it searches, in schema public.
        needed: names of the arguments that have no default.
        taken: names of all of its arguments.
    """

    identity: str
    name: str
    table: str
    needed: tuple[str, ...]
    taken: tuple[str, ...]

    @property
    def takes_dimension(self) -> bool:
        """Whether it is told which column to search by."""
        return "embedding_dimension" in self.taken


def functions(connection: Connection) -> tuple[Function, ...]:
    """Every match_archon_* and hybrid_search_archon_* in schema public."""
    rows = connection.execute(
        """SELECT f.oid::regprocedure::text, f.proname,
                  coalesce(f.proargnames[1:f.pronargs], '{}'), f.pronargs - f.pronargdefaults
           FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace
           WHERE n.nspname = 'public' AND f.prokind = 'f'
             AND (f.proname LIKE %s OR f.proname LIKE %s)
           ORDER BY 1""",
        [f"{prefix.removesuffix('_')}{_REST}" for prefix in _PREFIXES],
    ).fetchall()
    return tuple(
        Function(identity, name, _table(name), tuple(names[:needed]), tuple(names))
        for identity, name, names, needed in rows
    )


def call(
    connection: Connection, function: Function, samples: Samples, *, timeout: float
) -> FunctionLook:
    """Call one with every embedding that it should find something by; nothing is written."""
    unknown = [name for name in function.needed if name not in _arguments(0, "")]
    if unknown or len(function.taken) == 0:
        why = f"nothing is known to give it as {', '.join(unknown) or 'argument'}"
        return FunctionLook(function.identity, 0, unproven=why)
    rows = 0
    for dimension, embedding, due in _questions(function, samples.get(function.table, {})):
        try:
            with deadline(connection, timeout, f"calling {function.name}"):
                ids = _ids(connection, function, _arguments(dimension, embedding))
                lost = _unknown(connection, function, ids)
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            return _problem(function, rows, f"fails: {str(error).partition(chr(10))[0]}")
        if lost:
            return _problem(function, rows, f"answers {lost} rows that {function.table} lacks")
        if due and not ids:
            return _problem(function, rows, f"answers nothing by {dimension} dimensions")
        rows += len(ids)
    return FunctionLook(function.identity, rows)


def _problem(function: Function, rows: int, what: str) -> FunctionLook:
    return FunctionLook(function.identity, rows, problem=what)


def _table(name: str) -> str:
    prefix = next(p for p in _PREFIXES if name.startswith(p))
    return name.removeprefix(prefix).removesuffix("_multi")


def _questions(
    function: Function, embeddings: Mapping[int, str]
) -> tuple[tuple[int, str, bool], ...]:
    """Dimension, embedding, and whether an answer is due.

    Without any embedding it is at least seen to run.
    """
    known = tuple((d, e, True) for d, e in sorted(embeddings.items()))
    if not function.takes_dimension:
        known = tuple(k for k in known if k[0] == _DEFAULT_DIMENSION)
    ones = f"[{','.join('1' * _DEFAULT_DIMENSION)}]"
    return known or ((_DEFAULT_DIMENSION, ones, False),)


def _arguments(dimension: int, embedding: str) -> dict[str, str | int]:
    return {
        "query_embedding": embedding,
        "embedding_dimension": dimension,
        "query_text": _TEXT,
        "match_count": NEIGHBOURS,
    }


def _ids(
    connection: Connection, function: Function, arguments: Mapping[str, str | int]
) -> tuple[str, ...]:
    """What it answers as ids; texts are sent untyped, so that each finds its argument's type."""
    given = [name for name in arguments if name in function.taken]
    query = sql.SQL("SELECT id::text FROM {}({})").format(
        sql.Identifier("public", function.name),
        sql.SQL(", ").join(sql.SQL("{} => %s").format(sql.Identifier(n)) for n in given),
    )
    with connection.transaction(force_rollback=True):
        connection.execute("SET TRANSACTION READ ONLY")
        _see_everything(connection)
        found = connection.execute(query, [arguments[name] for name in given]).fetchall()
    return tuple(str(row) for (row,) in found)


def _see_everything(connection: Connection) -> None:
    """A function without a search path of its own is called with one like Archon's."""
    (schema,) = connection.execute(
        """SELECT quote_ident(n.nspname) FROM pg_catalog.pg_extension e
           JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"""
    ).fetchone() or ("public",)
    set_local(connection, "search_path", f"public, {schema}")


def _unknown(connection: Connection, function: Function, ids: tuple[str, ...]) -> int:
    """How many of these are no rows of the table that it searches."""
    query = sql.SQL("SELECT id::text FROM {} WHERE id::text = ANY (%s)").format(
        sql.Identifier("public", function.table)
    )
    known = {row for (row,) in connection.execute(query, [list(ids)])} if ids else set()
    return len(set(ids) - known)
