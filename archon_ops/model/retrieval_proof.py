"""What a database answers, held against what it answered when its backup was made."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from archon_ops.model.inventory import definition_digest
from archon_ops.model.retrieval import (
    Answer,
    Credentials,
    FoundRetrieval,
    IndexLook,
    Retrieval,
    Search,
    VectorIndex,
    in_band,
    same,
)


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
