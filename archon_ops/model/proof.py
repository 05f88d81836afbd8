"""Is what was restored what was backed up? Answered table by table and object by object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from archon_ops.model.backup import Manifest
from archon_ops.model.fingerprint import SequencePosition, TableFingerprint
from archon_ops.model.inventory import differences
from archon_ops.model.retrieval import FoundRetrieval
from archon_ops.model.retrieval_proof import RetrievalProof, compare


@dataclass(frozen=True)
class TableProof:
    """One table: what the manifest says, what was found, and whether every row is equal."""

    table: str
    rows_expected: int | None
    rows_found: int | None
    equal: bool


@dataclass(frozen=True)
class Comparison:
    """Whether two descriptions agree, and every line in which they do not."""

    equal: bool
    differences: tuple[str, ...]


@dataclass(frozen=True)
class Proof:
    """The answer.

    Attributes:
        equal: everything that could be compared is equal.
        tables: one line for each table of the manifest or of the database.
        inventory: schema objects, sequences and extensions.
        attributes: owner, rights and settings of the database itself.
        not_proven: what could not be compared, and why.
        retrieval: whether searches answer what they did.
    """

    equal: bool
    tables: tuple[TableProof, ...]
    inventory: Comparison
    attributes: Comparison
    not_proven: tuple[str, ...] = ()
    retrieval: RetrievalProof = field(default_factory=RetrievalProof)

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is not equal, one line each."""
        rows = tuple(
            f"table {t.table}: {_count(t.rows_expected)} expected, {_count(t.rows_found)} found"
            + (", content differs" if t.rows_expected == t.rows_found else "")
            for t in self.tables
            if not t.equal
        )
        objects = self.inventory.differences + self.attributes.differences
        return rows + objects + self.retrieval.differences

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "equal": self.equal,
            "tables": [
                {
                    "table": t.table,
                    "rows_expected": t.rows_expected,
                    "rows_found": t.rows_found,
                    "equal": t.equal,
                }
                for t in self.tables
            ],
            "inventory": {
                "equal": self.inventory.equal,
                "differences": list(self.inventory.differences),
            },
            "attributes": {
                "equal": self.attributes.equal,
                "differences": list(self.attributes.differences),
            },
            "retrieval": self.retrieval.document(),
            "not_proven": list(self.not_proven),
        }


@dataclass(frozen=True)
class Found:
    """What a restored database holds.

    Attributes:
        major: major version of its server.
        tables: content of every table.
        sequences: position of every sequence.
        inventory: "kind identity" -> digest.
        extensions: extension -> version.
        attributes: of the database itself; None where there is nothing to hold them against.
        ctype: how its text is folded and classified; empty where that is not known.
        retrieval: what it answers; None where it was not asked.
    """

    major: int
    tables: tuple[TableFingerprint, ...]
    sequences: tuple[SequencePosition, ...]
    inventory: Mapping[str, str]
    extensions: Mapping[str, str]
    attributes: Mapping[str, str] | None
    ctype: str = ""
    retrieval: FoundRetrieval | None = None


def prove(manifest: Manifest, found: Found, attributes: Mapping[str, str] | None) -> Proof:
    """Compare a restored database with the manifest of its backup.

    Args:
        manifest: what was backed up.
        found: what is there now.
        attributes: what the database's own attributes shall be; None to leave them out.
    """
    same_major = manifest.server.major == found.major
    same_ctype = found.ctype in ("", manifest.server.ctype)
    tables = _tables(manifest.tables, found.tables, same_major and same_ctype)
    inventory, not_proven = _inventory(manifest, found, same_major)
    if not same_ctype:  # they say which letters are one word, in capitals and in small
        not_proven += (
            f"generated columns: the locale was {manifest.server.ctype}, is {found.ctype}",
        )
    theirs = found.attributes if attributes is not None else None
    own = _compare(differences(_prefixed(attributes), _prefixed(theirs)))
    retrieval, unasked = _retrieval(manifest, found, same_major)
    equal = all(t.equal for t in tables) and inventory.equal and own.equal and retrieval.equal
    return Proof(equal, tables, inventory, own, not_proven + unasked, retrieval)


def _retrieval(
    manifest: Manifest, found: Found, same_major: bool
) -> tuple[RetrievalProof, tuple[str, ...]]:
    if found.retrieval is None:
        due = manifest.retrieval is not None and manifest.retrieval.searches
        return RetrievalProof(), (("search answers: nobody asked for them",) if due else ())
    unchanged = {
        identity.partition(" ")[2] if identity.startswith("function ") else ""
        for identity, digest in manifest.inventory.items()
        if found.inventory.get(identity) == digest
    }
    return compare(
        manifest.retrieval,
        found.retrieval,
        same_major=same_major,
        unchanged=unchanged,
    )


def _tables(
    expected: tuple[TableFingerprint, ...], found: tuple[TableFingerprint, ...], generated: bool
) -> tuple[TableProof, ...]:
    wanted = {t.name: t for t in expected}
    there = {t.name: t for t in found}
    return tuple(
        TableProof(
            name,
            wanted[name].rows if name in wanted else None,
            there[name].rows if name in there else None,
            _equal(wanted.get(name), there.get(name), generated),
        )
        for name in sorted(wanted.keys() | there.keys())
    )


def _equal(a: TableFingerprint | None, b: TableFingerprint | None, generated: bool) -> bool:
    if a is None or b is None:
        return False
    computed = not generated or a.generated == b.generated
    return (a.rows, a.content, a.columns) == (b.rows, b.content, b.columns) and computed


def _inventory(
    manifest: Manifest, found: Found, same_major: bool
) -> tuple[Comparison, tuple[str, ...]]:
    """Definitions are printed differently by other major versions: there only names compare."""
    expected: Mapping[str, str] = manifest.inventory
    actual = found.inventory
    notes = [
        f"extension {e.name} was {e.version}, is {found.extensions[e.name]}"
        for e in manifest.extensions
        if found.extensions.get(e.name, e.version) != e.version
    ]
    if not same_major:
        notes.append(
            f"definitions and generated columns: the backup is of PostgreSQL "
            f"{manifest.server.major}, this server is {found.major}; names were compared"
        )
        expected, actual = dict.fromkeys(expected, ""), dict.fromkeys(actual, "")
    lines = differences(expected, actual) + _behind(manifest.sequences, found.sequences)
    return _compare(lines), tuple(notes)


def _behind(
    expected: tuple[SequencePosition, ...], found: tuple[SequencePosition, ...]
) -> tuple[str, ...]:
    """Sequences that would hand a number out again.

    They are no part of a snapshot: pg_dump reads them later, so they may be ahead, never behind.
    """
    there = {s.name: s for s in found}
    lines = []
    for wanted in expected:
        if (now := there.get(wanted.name)) is None:
            continue  # the inventory names it
        if _lags(now.last_value, wanted.last_value, wanted.direction):
            lines.append(
                f"sequence {wanted.name}: {_at(now.last_value)}, was at {wanted.last_value}"
            )
        elif _lags(now.last_value, now.owner_max, wanted.direction) and not _lags(
            wanted.last_value, wanted.owner_max, wanted.direction
        ):
            lines.append(
                f"sequence {wanted.name}: {_at(now.last_value)}, its column holds {now.owner_max}"
            )
    return tuple(lines)


def _lags(position: int | None, reached: int | None, direction: int) -> bool:
    """Whether a sequence at `position` would yet hand out `reached`, as far as can be told."""
    if reached is None or direction == 0:
        return False
    return position is None or (reached - position) * direction > 0


def _at(position: int | None) -> str:
    return "unused" if position is None else f"at {position}"


def _compare(lines: tuple[str, ...]) -> Comparison:
    return Comparison(not lines, lines)


def _prefixed(values: Mapping[str, str] | None) -> dict[str, str]:
    return {f"database {key}": str(value) for key, value in (values or {}).items()}


def _count(rows: int | None) -> str:
    return "no table" if rows is None else f"{rows} rows"
