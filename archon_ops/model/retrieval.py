"""What a knowledge base answers: exact nearest neighbours, vector indexes, search functions.

A knowledge base whose rows are all there but whose search answers differ is not restored.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf, isclose
from statistics import median
from typing import Any

from archon_ops.model.inventory import definition_digest

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


@dataclass(frozen=True)
class RetrievalProof:
    """Whether a restored database answers as the one that was backed up.

    Attributes:
        equal: it does, as far as could be compared.
        differences: where it does not, one line each.
        questions: how many exact answers were compared.
        recall: vector index -> share of the exact neighbours that it finds.
        functions: search function -> rows that it answered.
        credentials: "decrypted", "not decrypted", "not checked", or "none" where none is stored.
    """

    equal: bool = True
    differences: tuple[str, ...] = ()
    questions: int = 0
    recall: Mapping[str, float] | None = None
    functions: Mapping[str, int] | None = None
    credentials: str = "not checked"

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "equal": self.equal,
            "differences": list(self.differences),
            "questions": self.questions,
            "recall": dict(self.recall or {}),
            "functions": dict(self.functions or {}),
            "credentials": self.credentials,
        }


def compare(
    expected: Retrieval | None,
    found: FoundRetrieval,
    *,
    same_major: bool,
    unchanged: Container[str],
) -> tuple[RetrievalProof, tuple[str, ...]]:
    """Hold what a restored database answers against what was recorded.

    Args:
        expected: of the manifest; None where the backup is older than the record.
        found: of the restored database.
        same_major: whether both servers print definitions alike.
        unchanged: functions whose definition is that of the backup: where one of those fails, it
            did so before, and the restore is not to blame.

    Returns:
        The proof, and what could not be proven, one line each.
    """
    recorded = expected or Retrieval((), ())
    failing = [f for f in found.functions if f.problem]
    lines = (
        *_answers(recorded.searches, found.searches),
        *_indexes(recorded.indexes, found.indexes, same_major),
        *(f"function {f.name} {f.problem}" for f in failing if f.name not in unchanged),
    )
    notes = (
        *_unrecorded(expected, found),
        *(f"search of {s.name}: {s.unanswered}" for s in recorded.searches if s.unanswered),
        *(f"vector index {i.name}: {i.unproven}" for i in found.indexes if i.unproven),
        *(f"function {f.name}: {f.unproven}" for f in found.functions if f.unproven),
        *(f"function {f.name}, as backed up, {f.problem}" for f in failing if f.name in unchanged),
        *_keys(found.credentials),
    )
    proof = RetrievalProof(
        not lines,
        lines,
        sum(len(s.answers) for s in recorded.searches),
        {i.name: round(i.recalls[0], 3) for i in found.indexes if i.recalls},
        {f.name: f.rows for f in found.functions if not f.unproven},
        _decrypted(found.credentials),
    )
    return proof, notes


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


def _decrypted(credentials: Credentials) -> str:
    if not credentials.stored:
        return "none"
    if credentials.variable is None:
        return "not checked"
    return "decrypted" if credentials.opened == credentials.stored else "not decrypted"


def _keys(credentials: Credentials) -> Iterator[str]:
    """A key that does not fit says nothing against the rows, so it stops no restore."""
    if _decrypted(credentials) == "not decrypted":
        yield (
            f"credentials: {credentials.variable} decrypts {credentials.opened} of "
            f"{credentials.stored}; they were stored under another key"
        )


def _unrecorded(expected: Retrieval | None, found: FoundRetrieval) -> Iterator[str]:
    if expected is None and any(s.answers for s in found.searches):
        yield "search answers: the backup is older than the record of them"


def _answers(expected: tuple[Search, ...], found: tuple[Search, ...]) -> Iterator[str]:
    there = {s.key: s for s in found}
    for wanted in expected:
        if (now := there.get(wanted.key)) is None:
            yield f"search of {wanted.name}: there is no such column any more"
            continue
        if wanted.answers and now.unanswered:
            yield f"search of {wanted.name}: {now.unanswered}"
            continue
        answers = {a.row: a for a in now.answers}
        other = [a.row for a in wanted.answers if not _answered(a, answers.get(a.row))]
        if other:
            yield (
                f"search of {wanted.name}: {len(other)} of {len(wanted.answers)} answers differ, "
                f"first that to row {other[0]}"
            )


def _answered(wanted: Answer, now: Answer | None) -> bool:
    return now is not None and same(wanted, now)


def _indexes(
    expected: tuple[VectorIndex, ...], found: tuple[IndexLook, ...], same_major: bool
) -> Iterator[str]:
    there = {i.name: i for i in found}
    for wanted in expected:
        if (now := there.get(wanted.name)) is None:
            yield f"vector index {wanted.name}: missing"
        elif same_major and _digest(wanted.definition) != _digest(now.definition):
            yield f"vector index {wanted.name}: is {now.definition}, was {wanted.definition}"
    for index in found:
        yield from (f"vector index {index.name}: {fault}" for fault in _faults(index))


def _digest(definition: str) -> str:
    return definition_digest("index", definition)


def _faults(index: IndexLook) -> Iterator[str]:
    if not index.valid:
        yield "not valid"
    elif index.used is False:
        yield "the planner does not use it"
    elif index.missed:
        yield f"{index.missed} nearest neighbours are not in it"
    elif index.recalls and not in_band(index.recalls[0], index.recalls):
        yield (
            f"it finds {index.recalls[0]:.0%} of the nearest neighbours, the median of "
            f"{len(index.recalls)} builds {median(index.recalls):.0%}"
        )
