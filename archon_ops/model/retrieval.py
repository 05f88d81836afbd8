"""What a knowledge base answers: exact nearest neighbours, vector indexes, search functions.

A knowledge base whose rows are all there but whose search answers differ is not restored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf, isclose
from statistics import median

# Neighbours of each question, and questions to each kind of embedding.
NEIGHBOURS = 10
QUESTIONS = 3
# Processors add up a distance in another order each: this share of it, or this much, is nothing.
TOLERANCE = 1e-5
# How far recall may lie below the median of several builds.
BAND = 0.25


@dataclass(frozen=True)
class Answer:
    """The exact nearest neighbours of one stored embedding, nearest first.

    Attributes:
        row: key of the row whose embedding was asked with.
        nearest: keys of its neighbours, itself among them.
        distances: how far each is.
    """

    row: str
    nearest: tuple[str, ...]
    distances: tuple[float, ...]


@dataclass(frozen=True)
class Search:
    """One way to search, with a sample of its answers.

    Attributes:
        schema, table: where the embeddings are.
        embedding: the column, or the expression that an index is over, as PostgreSQL prints it.
        operator: of pgvector, as `<=>`.
        condition: of a partial index, as PostgreSQL prints it; empty without one.
        answers: to the sampled questions.
        unanswered: why there are none; empty where there are.
    """

    schema: str
    table: str
    embedding: str
    operator: str
    condition: str
    answers: tuple[Answer, ...] = ()
    unanswered: str = ""

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What makes it the same search in another database."""
        return (self.schema, self.table, self.embedding, self.operator, self.condition)

    @property
    def name(self) -> str:
        """The search, as people read it."""
        where = f" where {self.condition}" if self.condition else ""
        return f"{self.schema}.{self.table} by {self.embedding} {self.operator}{where}"


@dataclass(frozen=True)
class VectorIndex:
    """An approximate index over embeddings.

    Attributes:
        name: qualified.
        definition: the statement that makes it.
    """

    name: str
    definition: str


@dataclass(frozen=True)
class Retrieval:
    """What was there to search by when the backup was taken, and what was answered.

    Attributes:
        searches: every way to search that has embeddings.
        indexes: every valid vector index.
    """

    searches: tuple[Search, ...]
    indexes: tuple[VectorIndex, ...]


@dataclass(frozen=True)
class IndexLook:
    """A vector index of a restored database, tried out.

    Attributes:
        name, definition: as of `VectorIndex`.
        valid: whether PostgreSQL takes it for whole.
        used: whether the planner uses it where it is asked not to read the table; None where there
            is nothing to ask.
        missed: neighbours that it does not find even when all of it is read; None where that is
            not to be had (hnsw), or there was nothing to ask.
        recalls: share of the exact neighbours that it finds, of this build, then of others that
            were made to compare; empty where there was nothing to ask.
        unproven: why it could not be compared; empty where it was, or needed no comparison.
    """

    name: str
    definition: str
    valid: bool
    used: bool | None = None
    missed: int | None = None
    recalls: tuple[float, ...] = ()
    unproven: str = ""


@dataclass(frozen=True)
class FunctionLook:
    """A search function of a restored database, called.

    Attributes:
        name: with the types of its arguments, as the inventory has it.
        rows: how many it answered.
        problem: why that is not what it is for; empty where all is well.
        unproven: why it could not be called; empty where it could.
    """

    name: str
    rows: int
    problem: str = ""
    unproven: str = ""


@dataclass(frozen=True)
class Credentials:
    """What became of Archon's encrypted credentials.

    Attributes:
        stored: how many were tried, or could have been.
        variable: that holds the key at hand; None where none does.
        opened: how many it decrypts.
    """

    stored: int = 0
    variable: str | None = None
    opened: int = 0


@dataclass(frozen=True)
class FoundRetrieval:
    """What a restored database answers.

    Attributes:
        searches: the same questions, asked again; where none were recorded, questions of its own.
        indexes: every vector index, valid or not.
        functions: every search function.
        credentials: what the key at hand makes of them.
    """

    searches: tuple[Search, ...] = ()
    indexes: tuple[IndexLook, ...] = ()
    functions: tuple[FunctionLook, ...] = ()
    credentials: Credentials = field(default_factory=Credentials)


def same(a: Answer, b: Answer) -> bool:
    """Whether two answers are one: only neighbours equally far away may stand for each other."""
    return len(a.nearest) == len(b.nearest) and _within(a, b) and _within(b, a)


def found_of(exact: Answer, nearest: Iterable[tuple[str, float]]) -> int:
    """How many of these are among the exact neighbours, or as near as the last of them."""
    last = exact.distances[-1]
    edge = last + TOLERANCE * max(1.0, abs(last))
    return min(len(exact.nearest), sum(far <= edge for _, far in nearest))


def in_band(recall: float, recalls: tuple[float, ...]) -> bool:
    """Whether a build of an index is not much worse than the median of several."""
    return recall >= median(recalls) - BAND


def _within(a: Answer, b: Answer) -> bool:
    """Whether b has every row of a, as far away; or cut it off behind others as far away."""
    far = dict(zip(b.nearest, b.distances, strict=True))
    edge = b.distances[-1] if len(b.nearest) >= NEIGHBOURS else inf
    return all(
        isclose(distance, far.get(row, edge), rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        for row, distance in zip(a.nearest, a.distances, strict=True)
    )
