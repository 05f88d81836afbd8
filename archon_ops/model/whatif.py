"""What a database would take if it grew faster, or held other embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archon_ops.model.audit import ELEMENT_BYTES, VECTOR_HEAD, Audit, Table
from archon_ops.model.growth import Line

VECTOR_METHODS = frozenset({"ivfflat", "hnsw"})
WEEKS = 52


@dataclass(frozen=True)
class Choice:
    """What is assumed.

    Attributes:
        rows_per_week: new rows with an embedding, in all tables together.
        dimension: of every embedding; 0 leaves them as they are.
        half: whether they are of halfvec, which takes half.
        retention: how many backups are kept.
    """

    rows_per_week: int
    dimension: int
    half: bool
    retention: int


@dataclass(frozen=True)
class Cost:
    """What that takes.

    Attributes:
        name: which state.
        database_bytes: size of the database.
        vector_bytes: embeddings and their indexes in it.
        backup_bytes: size of a backup; None where none was ever measured.
        storage_bytes: of all backups that are kept.
    """

    name: str
    database_bytes: int
    vector_bytes: int
    backup_bytes: int | None
    storage_bytes: int | None


def costs(audit: Audit, choice: Choice, backup: Line | None) -> tuple[Cost, ...]:
    """Now, with the other embeddings, and after a year of growth with them."""
    vectors = _vector_bytes(audit.tables)
    other = round(vectors * factor(audit, choice))
    changed = audit.database_bytes - vectors + other
    grown = round(row_bytes(audit, choice) * choice.rows_per_week * WEEKS)
    later = other + round(grown * other / max(_embedded_bytes(audit) - vectors + other, 1))
    return (
        _cost("now", audit.database_bytes, vectors, choice, backup),
        _cost("with these embeddings", changed, other, choice, backup),
        _cost("and a year of growth", changed + grown, later, choice, backup),
    )


def factor(audit: Audit, choice: Choice) -> float:
    """Bytes of an embedding as chosen over what one takes on average now."""
    filled = sum(c.filled.value or 0 for t in audit.tables for c in t.vectors if c.value_bytes)
    if not filled:
        return 1.0
    now = audit.vector_bytes / filled
    elements = choice.dimension or (now - VECTOR_HEAD) / ELEMENT_BYTES["vector"]
    return (elements * ELEMENT_BYTES["halfvec" if choice.half else "vector"] + VECTOR_HEAD) / now


def row_bytes(audit: Audit, choice: Choice) -> float:
    """What one more row with an embedding takes, indexes included."""
    tables = [t for t in audit.tables if t.vectors and t.rows.value]
    rows = sum(t.rows.value or 0 for t in tables)
    if not rows:
        return 0.0
    vectors = _vector_bytes(tables)
    return (_embedded_bytes(audit) - vectors + vectors * factor(audit, choice)) / rows


def _embedded_bytes(audit: Audit) -> int:
    return sum(t.size.total_bytes for t in audit.tables if t.vectors and t.rows.value)


def _vector_bytes(tables: Sequence[Table]) -> int:
    """Embeddings and the indexes over them, which hold a copy each."""
    values = sum(c.bytes or 0 for t in tables for c in t.vectors)
    return values + sum(i.bytes for t in tables for i in t.indexes if i.method in VECTOR_METHODS)


def _cost(name: str, size: int, vectors: int, choice: Choice, backup: Line | None) -> Cost:
    one = None if backup is None else round(backup.at(size))
    return Cost(name, size, vectors, one, None if one is None else one * choice.retention)
