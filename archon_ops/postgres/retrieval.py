"""Ask stored embeddings for their exact nearest neighbours, in one snapshot.

Exact means: every row is read and no index, and rows equally far away come in the order of their
keys. A question costs about as much as reading the table's embeddings once, so a sample of a few
costs a share of what the dump costs, at any size.
"""

from __future__ import annotations

from dataclasses import replace

import psycopg
from psycopg import sql

from archon_ops.model.retrieval import (
    NEIGHBOURS,
    QUESTIONS,
    Answer,
    Retrieval,
    Search,
    VectorIndex,
)
from archon_ops.postgres.embeddings import Embeddings, embeddings, indexes
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.session import Connection, deadline, set_local

Question = tuple[str, str]


def sample(connection: Connection, scope: Scope, *, timeout: float) -> Retrieval:
    """What a backup records: sampled questions with their exact answers, and the indexes.

    Args:
        connection: session in the transaction whose snapshot counts.
        scope: what is left out.
        timeout: seconds for one kind of embedding.
    """
    searches = (search(connection, e, None, timeout) for e in embeddings(connection, scope))
    return Retrieval(
        tuple(s for s in searches if s.answers or s.unanswered),
        tuple(VectorIndex(i.name, i.definition) for i in indexes(connection, scope) if i.valid),
    )


def search(
    connection: Connection, over: Embeddings, rows: tuple[str, ...] | None, timeout: float
) -> Search:
    """Exact answers of one kind of embedding.

    Args:
        connection: session on the database.
        over: the embeddings.
        rows: keys of the rows to ask with; None for a sample.
        timeout: seconds for all of it.

    Returns:
        The answers, or why there are none: PostgreSQL's own words, or that rows have no key.
    """
    base = over.search
    with deadline(connection, timeout, f"searching {base.name}"):
        try:
            with connection.transaction(force_rollback=True):
                if not over.key:
                    why = "the table has no primary key" if _any(connection, over) else ""
                    return replace(base, unanswered=why)
                questions = asked(connection, over, rows)
                answers = (exact(connection, over, question) for question in questions)
                return replace(base, answers=tuple(a for a in answers if a.nearest))
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:  # such as vectors of different dimensions in one column
            return replace(base, unanswered=str(error).partition("\n")[0])


def asked(
    connection: Connection, over: Embeddings, rows: tuple[str, ...] | None
) -> tuple[Question, ...]:
    """The keys and embeddings to ask with: of these rows, or of those whose keys hash lowest.

    A row is found by its place, so that no embedding but those that are asked with is read.
    """
    chosen = (
        sql.SQL('SELECT ctid FROM {} WHERE {} ORDER BY md5({row}), {row} COLLATE "C" LIMIT {}')
        if rows is None
        else sql.SQL("SELECT ctid FROM {} WHERE {} AND {row} = ANY (%s) LIMIT {}")
    ).format(over.relation, over.there, sql.Literal(QUESTIONS), row=over.row)
    query = sql.SQL("SELECT {row}, {}::text FROM {} WHERE ctid = ANY (ARRAY({}))").format(
        over.value, over.relation, chosen, row=over.row
    )
    found = connection.execute(query, [] if rows is None else [list(rows)]).fetchall()
    return tuple(sorted((str(row), str(value)) for row, value in found))


def exact(connection: Connection, over: Embeddings, question: Question) -> Answer:
    """The nearest neighbours of one embedding, from all rows.

    OFFSET 0 keeps the planner from computing a distance twice. A zero vector has no direction and
    so no cosine: it is nobody's neighbour.
    """
    set_local(connection, "enable_indexscan", "off")
    query = sql.SQL(
        "SELECT r, d FROM (SELECT {} AS r, {} AS d FROM {} WHERE {} OFFSET 0) AS v"
        " WHERE d <> 'NaN' ORDER BY d, r COLLATE \"C\" LIMIT {}"
    ).format(over.row, over.distance, over.relation, over.there, sql.Literal(NEIGHBOURS))
    near = connection.execute(query, [question[1]]).fetchall()
    return Answer(question[0], tuple(str(r) for r, _ in near), tuple(float(d) for _, d in near))


def _any(connection: Connection, over: Embeddings) -> bool:
    query = sql.SQL("SELECT FROM {} WHERE {} LIMIT 1").format(over.relation, over.there)
    return connection.execute(query, []).fetchone() is not None
