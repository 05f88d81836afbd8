"""Whether Archon's own search functions run: each is called once, and rolled back."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from archon_ops.postgres.session import Connection, deadline

_DIMENSION = 1536
_FOUND = 3


@dataclass(frozen=True)
class _Argument:
    """An argument that has no default."""

    name: str
    type: str


def run_searches(connection: Connection, *, timeout: float) -> dict[str, str]:
    """Call match_archon_* and hybrid_search_archon_*.

    Args:
        connection: session with the search path of Archon's own sessions.
        timeout: seconds for each.

    Returns:
        Function with its arguments -> why it fails; empty where it runs.
    """
    rows = connection.execute(
        """SELECT p.oid::pg_catalog.regprocedure::text, p.proname,
                  coalesce(p.proargnames[1:p.pronargs - p.pronargdefaults]::text[], '{}'),
                  ARRAY(SELECT pg_catalog.format_type(t, NULL)
                        FROM unnest(p.proargtypes) WITH ORDINALITY AS x (t, n)
                        WHERE n <= p.pronargs - p.pronargdefaults ORDER BY n)
           FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
           WHERE n.nspname = 'public' AND p.prokind = 'f'
             AND p.proname ~ '^(match|hybrid_search)_archon_' ORDER BY 1"""
    ).fetchall()
    return {
        identity: _call(connection, name, tuple(map(_Argument, names, types)), timeout)
        for identity, name, names, types in rows
        if len(names) == len(types)
    }


def _call(
    connection: Connection, name: str, arguments: tuple[_Argument, ...], timeout: float
) -> str:
    values = sql.SQL(", ").join(
        sql.SQL("{}::{}").format(sql.Literal(_value(a)), sql.SQL(a.type)) for a in arguments
    )
    query = sql.SQL("SELECT count(*) FROM {}({})").format(sql.Identifier("public", name), values)
    try:
        with (
            deadline(connection, timeout, f"calling {name}"),
            connection.transaction(force_rollback=True),
        ):
            connection.execute(query)
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        return " ".join((error.diag.message_primary or str(error)).split())
    return ""


def _value(argument: _Argument) -> str | None:
    """Something that a search can be asked with."""
    kind = argument.type.rpartition(".")[2]
    if kind in ("vector", "halfvec"):
        return "[" + ",".join(["0.1"] * _DIMENSION) + "]"
    if kind in ("integer", "bigint", "smallint"):
        return str(_DIMENSION if "dimension" in argument.name else _FOUND)
    if kind in ("json", "jsonb"):
        return "{}"
    return "archon" if "query" in argument.name else None
