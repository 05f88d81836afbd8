"""Try vector indexes out: does the planner use them, is every row in them, how much do they find?

An ivfflat index is trained on a random sample each time that it is built, so two builds over the
same rows find different shares of the nearest neighbours. How much one finds is therefore no fact
of the backup: it is held against other builds over the rows that are there now.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from archon_ops.model.retrieval import (
    BAND,
    NEIGHBOURS,
    Answer,
    IndexLook,
    Search,
    found_of,
    in_band,
)
from archon_ops.postgres.embeddings import Index
from archon_ops.postgres.retrieval import Question, asked
from archon_ops.postgres.session import Connection, deadline, set_local

# So many builds have a median; after so many more the last one stays as it is.
_BUILDS = 5
_MOST_BUILDS = 10
# Nothing but an index answers; of a small table PostgreSQL would rather read all.
_INDEX_ONLY = {"enable_seqscan": "off", "enable_bitmapscan": "off", "enable_sort": "off"}
_HNSW_DEFAULT = "40"
# An index over halfvec sorts by rounded distances: the tenth may come as the twelfth.
_AMONG = 4 * NEIGHBOURS

_Asked = tuple[tuple[Question, Answer], ...]


def look(
    connection: Connection,
    index: Index,
    search: Search,
    *,
    timeout: float,
    build_settings: Mapping[str, str],
) -> IndexLook:
    """Try one index out with questions whose exact answers are known.

    Where it finds so little that the median of several builds may be far above, it is built anew
    to compare, and a build within the band stays: only for a database that nobody uses.

    Args:
        connection: session on the database.
        index: as the catalogue tells it.
        search: exact answers over the same embeddings.
        timeout: seconds for each step.
        build_settings: server settings with which an index can be built.
    """
    questions = _questions(connection, index, search) if index.valid else ()
    if not questions:
        return IndexLook(index.name, index.definition, index.valid)
    with deadline(connection, timeout, f"searching by index {index.name}"):
        if not _used(connection, index, questions[0][0]):
            return IndexLook(index.name, index.definition, valid=True, used=False)
        missed = _missed(connection, index, questions)
        recalls: tuple[float, ...] = (_recall(connection, index, questions),)
    if recalls[0] < 1 - BAND and not missed:  # else it is in the band of any median
        try:
            recalls = _compared(connection, index, questions, recalls[0], timeout, build_settings)
        except psycopg.errors.InsufficientPrivilege:  # only its owner may
            why = f"it finds {recalls[0]:.0%}, and this role may not build it anew to compare"
            return IndexLook(index.name, index.definition, True, True, missed, recalls, why)
    return IndexLook(index.name, index.definition, True, True, missed, recalls)


def _questions(connection: Connection, index: Index, search: Search) -> _Asked:
    """The questions of the exact answers, with the embeddings to ask them with."""
    answers = {a.row: a for a in search.answers}
    if not answers:
        return ()
    found = asked(connection, index.over, tuple(answers))
    return tuple((question, answers[question[0]]) for question in found)


def _used(connection: Connection, index: Index, question: Question) -> bool:
    """Whether the planner takes it; the first answer of the session loads pgvector as well."""
    with connection.transaction(force_rollback=True):
        _set(connection, _INDEX_ONLY)
        query = sql.SQL("EXPLAIN (FORMAT JSON) ") + _query(index)
        row = connection.execute(query, [question[1]] * 2).fetchone()
    return row is not None and index.relation in _names(row[0])


def _names(plan: Any) -> set[str]:
    """Every index that a plan reads."""
    if isinstance(plan, list):
        return set().union(*map(_names, plan))
    if not isinstance(plan, dict):
        return set()
    own = {plan["Index Name"]} if "Index Name" in plan else set()
    return own.union(*(_names(plan.get(part)) for part in ("Plan", "Plans")))


def _missed(connection: Connection, index: Index, questions: _Asked) -> int | None:
    """Neighbours that are not in the index: reading all lists of ivfflat is reading all rows."""
    if index.method != "ivfflat":
        return None
    wanted = sum(len(answer.nearest) for _, answer in questions)
    effort = {"ivfflat.probes": str(index.lists)}
    return wanted - _hits(connection, index, questions, effort, _AMONG)


def _recall(connection: Connection, index: Index, questions: _Asked) -> float:
    """Share of the exact neighbours that it finds, as it is recommended to ask it.

    For ivfflat that is the square root of its lists: with the one list that is the default, chance
    decides more than the index does.
    """
    probes = str(math.ceil(math.sqrt(index.lists)))
    effort = {"ivfflat": {"ivfflat.probes": probes}, "hnsw": {"hnsw.ef_search": _HNSW_DEFAULT}}
    wanted = sum(len(answer.nearest) for _, answer in questions)
    return _hits(connection, index, questions, effort[index.method]) / wanted


def _hits(
    connection: Connection,
    index: Index,
    questions: _Asked,
    effort: Mapping[str, str],
    among: int = NEIGHBOURS,
) -> int:
    """How many exact neighbours the index finds among its own `among` nearest."""
    hits = 0
    with connection.transaction(force_rollback=True):
        _set(connection, {**_INDEX_ONLY, **effort})
        for (_, embedding), answer in questions:
            near = connection.execute(_query(index, among), [embedding] * 2).fetchall()
            hits += found_of(answer, ((str(row), float(far)) for row, far in near))
    return hits


def _query(index: Index, among: int = NEIGHBOURS) -> sql.Composed:
    over = index.over
    return sql.SQL("SELECT {}, {far} FROM {} WHERE {} ORDER BY {far} LIMIT {}").format(
        over.row, over.relation, over.there, sql.Literal(among), far=over.distance
    )


def _compared(
    connection: Connection,
    index: Index,
    questions: _Asked,
    first: float,
    timeout: float,
    build_settings: Mapping[str, str],
) -> tuple[float, ...]:
    """What several builds find: the one that stays, then the others."""
    recalls = [first]
    rebuild = sql.SQL("REINDEX INDEX {}").format(sql.Identifier(index.over.schema, index.relation))
    while len(recalls) < _BUILDS or (
        not in_band(recalls[-1], tuple(recalls)) and len(recalls) < _MOST_BUILDS
    ):
        with deadline(connection, timeout, f"building index {index.name} anew"):
            with connection.transaction():
                _set(connection, build_settings)
                connection.execute(rebuild)
            recalls.append(_recall(connection, index, questions))
    return (recalls[-1], *recalls[:-1])


def _set(connection: Connection, settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        set_local(connection, name, value)
